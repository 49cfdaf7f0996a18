import type { DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import { prettyFormatQueryPlan, type QueryPlan } from '@apollo/query-planner';
import { fragmentsOf } from '@cinegraph/service/list-cost';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import type { Logger } from '@cinegraph/service/logger';
import { gatewayCode, partsNotAccepted } from '../errors.js';
import type { CacheHint } from '../fetching/cache-hint.js';
import type { SubgraphClient } from '../fetching/client.js';
import type { Planner } from '../planning/planner.js';
import type { RequestContext } from '../request/context.js';
import type { PlannerSupergraph } from '../supergraph/required-arguments.js';
import type { Requirements } from '../supergraph/requirements.js';
import { accessOf, outcomeOf, requirementsOf } from './access.js';
import { checkOperation } from './check-operation.js';
import { compilePlan, fetchesOf, type CompiledPlan } from './compile.js';
import { createProjection, type Projection } from './completion.js';
import { createDeliveries, planDeferred, startDeferred, withDeferred, type Deliveries } from './defer.js';
import { executeStep } from './execute.js';
import type { Execution, FetchReport } from './execution.js';
import { toGraphQLError } from './faults.js';
import { introspect, splitIntrospection, type Operation } from './introspection.js';
import type { JsonText } from './json-output.js';
import {
  conditionsOf,
  normalise,
  type ClientOperation,
  type Conditions,
  type NormalisedOperation,
  type OperationConditions,
} from './normalise.js';
import type { PendingFragment } from './pending.js';
import { compileProjection, type Project } from './project.js';
import type { TypeConditions } from './type-conditions.js';
import { createVisibleSchemas } from './visible-schema.js';

/** An operation that was validated against the schema of its executor. */
export interface OperationRequest {
  readonly document: DocumentNode;
  /** Undefined if the document has no operation of the name that the client sent. */
  readonly operation: OperationDefinitionNode | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: RequestContext;
  /** Returns whether the client accepts parts of the response later; called for operations with `@defer`. */
  readonly acceptsParts: () => boolean;
  /** Whether the result says how the operation was executed. */
  readonly explains: boolean;
}

/** How an operation was executed. */
export interface Explanation {
  /** The query plan as text, with the response names and placeholders that replaced those of the client. */
  readonly plan: string;
  readonly fetches: readonly FetchReport[];
  /** Coordinates of the fields that the viewer may not see and that were not planned; absent without any. */
  readonly refused?: readonly string[];
}

/** The result of an operation. */
export interface OperationResult {
  /** The client's `data`. */
  readonly data: JsonText;
  readonly errors: readonly GraphQLError[];
  /** The strictest cache hint of all fetches; undefined without a fetch. */
  readonly cacheHint: CacheHint | undefined;
  readonly explanation: Explanation | undefined;
  /** What follows this result; undefined if nothing of the operation is deferred. */
  readonly deferred: Deliveries | undefined;
}

/**
 * Executes one operation. Rejects with a GraphQLError with an HTTP status 4xx if the operation is refused
 * before a subgraph is asked. Failures of fetches are errors of the result.
 */
export type Execute = (request: OperationRequest) => Promise<OperationResult>;

/** What is known of an operation of a document. */
interface KnownOperation extends ClientOperation, OperationConditions {
  readonly introspection: Operation | undefined;
  /** What anything in the document requires of viewers, as indexes. */
  readonly requirements: readonly number[];
  /** By the values of the conditions, the override labels that are on, and which requirements are met. */
  readonly compiled: Map<string, Promise<CompiledOperation>>;
}

interface CompiledOperation {
  readonly plan: CompiledPlan;
  /** Whether equal entities may share the objects below them. */
  readonly shares: boolean;
  readonly project: Project;
  readonly refused: ReadonlySet<string>;
  /** The deferred fragments with the client's labels; undefined if there is none. */
  readonly deferred: ClientOperation['deferred'];
  /** The labels of the deferred steps that each of them waits for. */
  readonly labels: NormalisedOperation['labels'];
  /** Returns its plan as text. */
  readonly planText: () => Promise<string>;
}

/**
 * Maximum number of errors in a response. More of them would only repeat what a failed fetch did to a list.
 */
const maxErrors = 500;

/**
 * Maximum number of compiled forms of one operation; there is one for each combination of its conditions and
 * of the requirements that viewers meet.
 */
const maxCompiledForms = 64;

/**
 * Creates the executor of one supergraph. An operation is compiled once for each object of its document, and
 * what was compiled is kept as long as that object. `overrideLabels` returns the labels of progressive
 * overrides that are on for a request. Viewers who meet the same of `requirements` share what was compiled.
 */
export const createExecutor = (options: {
  schema: GraphQLSchema;
  types: TypeConditions;
  planner: Planner;
  clientOf: (subgraph: string, document: DocumentNode) => Pick<SubgraphClient, 'fetch'>;
  supergraph: PlannerSupergraph;
  overrideLabels: () => readonly string[];
  /** What the supergraph requires of viewers; undefined if it requires nothing. */
  requirements: Requirements | undefined;
  /** Whether introspection shows viewers only the types and fields that they may see. */
  hidesRefused: boolean;
  logger: Logger;
}): Execute => {
  const { schema, types, planner, clientOf, supergraph, overrideLabels, requirements, logger } = options;
  const known = new WeakMap<OperationDefinitionNode, KnownOperation>();
  const schemaFor = options.hidesRefused ? createVisibleSchemas(schema, requirements) : () => schema;

  const knownOperation = (document: DocumentNode, operation: OperationDefinitionNode): KnownOperation => {
    const found = known.get(operation);
    if (found) return found;
    const fragments = fragmentsOf(document);
    const created: KnownOperation = {
      operation,
      fragments,
      ...conditionsOf(document),
      introspection: splitIntrospection({ document, operation }).introspection,
      requirements: requirementsOf(schema, requirements, { operation, fragments }),
      compiled: new Map(),
    };
    known.set(operation, created);
    return created;
  };

  const compile = async (
    known: KnownOperation,
    conditions: Conditions,
    overrides: readonly string[],
    outcome: string,
  ): Promise<CompiledOperation> => {
    const operation = known.hasDefer ? withDeferred(known, conditions) : known;
    const access = accessOf(schema, requirements, known.requirements, outcome);
    const normalised = normalise(schema, operation, conditions, types.requiredNames, access);
    const { text, placeholders, names, refused, labels } = normalised;
    const { deferred } = operation;
    const plan = (planned: string) => planner.plan(planned, overrides);
    const makePlan = () => (deferred ? planDeferred(text, { schema, types, plan, logger }) : plan(text));
    const made: QueryPlan =
      text === ''
        ? { kind: 'QueryPlan' }
        : await (tracing()?.inSpan('gateway.plan', {}, makePlan) ?? makePlan());
    const compiled = compilePlan(made, {
      ...{ schema, operation: operation.operation, isDeferred: deferred !== undefined },
      ...{ placeholders, types, access, clientOf, supergraph },
    });
    return {
      plan: compiled,
      // Each object of an entity has a path of its own, to which its deferred fragments belong.
      shares: !deferred && fetchesOf(compiled).every(({ contexts }) => contexts.length === 0),
      project: compileProjection(schema, operation, conditions, names, access),
      ...{ refused, deferred, labels },
      planText: async () => (text === '' ? '' : prettyFormatQueryPlan(await makePlan())),
    };
  };

  const compiledOperation = (
    operation: KnownOperation,
    variables: Readonly<Record<string, unknown>>,
    context: RequestContext,
  ): Promise<CompiledOperation> => {
    const labels = overrideLabels();
    const outcome = requirements ? outcomeOf(requirements, operation.requirements, context) : '';
    let key = labels.join() + outcome;
    // A variable of `@defer` may be absent.
    for (const name of operation.conditionVariables) key += stateOf(variables[name]);
    const found = operation.compiled.get(key);
    if (found) return found;
    const compiling = compile(operation, variables, labels, outcome);
    if (operation.compiled.size >= maxCompiledForms) operation.compiled.clear();
    operation.compiled.set(key, compiling);
    compiling.catch(() => operation.compiled.delete(key));
    return compiling;
  };

  return async ({ document, operation: named, variables, context, acceptsParts, explains }) => {
    const { operation, coerced } = checkOperation(schema, document, named, variables);
    if (operation.operation === 'query') context.deadline.abortWithClient();
    const found = knownOperation(document, operation);
    const compiled = await compiledOperation(found, coerced, context);
    const { plan, shares, project, refused, deferred, planText } = compiled;
    if (deferred && !acceptsParts()) throw partsNotAccepted();
    const execution: Execution = {
      context,
      variables: context.exactVariables ?? variables,
      types,
      data: {},
      shares,
      shared: undefined,
      searches: undefined,
      known: undefined,
      faults: undefined,
      cacheHint: undefined,
      variableTexts: undefined,
      reports: explains ? [] : undefined,
      startedAt: explains ? performance.now() : 0,
      signal: undefined,
    };
    const deferring = deferred && startDeferredOf(compiled, execution);
    if (plan.step) await executeStep(plan.step, execution);
    const introspected = found.introspection
      ? introspect(schemaFor(context), found.introspection, variables)
      : undefined;
    const texts = textsOf(introspected?.data);
    const projection = createProjection(execution, texts, []);
    project(execution.data, projection);
    const data = projection.output.take();
    const reported = errorsOf(projection, logger);
    return {
      data,
      errors: introspected?.errors ? [...reported, ...introspected.errors] : reported,
      cacheHint: execution.cacheHint,
      explanation: execution.reports && {
        plan: await planText(),
        fetches: execution.reports,
        ...(refused.size > 0 && { refused: [...refused] }),
      },
      deferred: deferring?.(projection.pending, texts, logger),
    };
  };
};

/**
 * Starts the deferred steps of an operation. Returns how to deliver the fragments that the first response
 * leaves pending.
 */
const startDeferredOf = ({ plan, deferred, labels }: CompiledOperation, execution: Execution) => {
  const { signal, executed } = startDeferred(plan.deferred, (step) => executeStep(step, execution));
  execution.signal = signal;
  return (
    pending: readonly PendingFragment[],
    introspected: Projection['introspected'],
    logger: Logger,
  ): Deliveries => {
    // What is deferred changes nothing, also in a mutation.
    execution.context.deadline.abortWithClient();
    return createDeliveries(pending, {
      labelOf: (fragment) => deferred?.get(fragment),
      executed: (fragment) => executed(labels.get(fragment) ?? []),
      write: ({ path, write }) => {
        const projection = createProjection(execution, introspected, path);
        const isWritten = write(projection);
        const data = isWritten ? projection.output.take() : undefined;
        return { data, errors: errorsOf(projection, logger), nested: projection.pending };
      },
    });
  };
};

/** Returns the errors of what was written; those that belong to no value are returned once in a request. */
const errorsOf = ({ errors, faults }: Projection, logger: Logger): GraphQLError[] => {
  // One entry for each response: a list may hold thousands of such values.
  const invalid = errors.find(({ extensions }) => extensions['code'] === gatewayCode.subgraphValueInvalid);
  if (invalid) logger.error({ reason: invalid.cause, path: invalid.path }, 'a value does not fit its type');
  return [...errors, ...(faults?.withoutPath() ?? [])].slice(0, maxErrors).map(toGraphQLError);
};

const stateOf = (condition: unknown): string => (condition === true ? '1' : condition === false ? '0' : '-');

const noTexts: Readonly<Record<string, string>> = {};

const textsOf = (
  data: Readonly<Record<string, unknown>> | null | undefined,
): Readonly<Record<string, string>> =>
  data
    ? Object.fromEntries(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]))
    : noTexts;

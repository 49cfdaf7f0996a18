import {
  Kind,
  visit,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { prettyFormatQueryPlan } from '@apollo/query-planner';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import type { Logger } from '@cinegraph/service/logger';
import { gatewayCode } from '../errors.js';
import type { CacheHint } from '../fetching/cache-hint.js';
import type { SubgraphClient } from '../fetching/client.js';
import type { Planner } from '../planning/planner.js';
import type { RequestContext } from '../request/context.js';
import type { PlannerSupergraph } from '../supergraph/required-arguments.js';
import type { Requirements } from '../supergraph/requirements.js';
import { accessOf, outcomeOf, refusalFor, requirementsOf } from './access.js';
import { checkOperation } from './check-operation.js';
import { compilePlan, fetchesOf, type Step } from './compile.js';
import { executeStep } from './execute.js';
import type { Execution, FetchReport } from './execution.js';
import { toGraphQLError, type ResponseError } from './faults.js';
import { introspect, splitIntrospection, type Operation } from './introspection.js';
import { normalise, type ClientOperation, type Conditions } from './normalise.js';
import { compileProjection, type Project, type Projection } from './project.js';
import type { TypeConditions } from './type-conditions.js';
import { createVisibleSchemas } from './visible-schema.js';

/** An operation that was validated against the schema of its executor. */
export interface OperationRequest {
  readonly document: DocumentNode;
  /** Undefined if the document has no operation of the name that the client sent. */
  readonly operation: OperationDefinitionNode | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: RequestContext;
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
  /** The JSON text of the client's `data`. */
  readonly data: string;
  readonly errors: readonly GraphQLError[];
  /** The strictest cache hint of all fetches; undefined without a fetch. */
  readonly cacheHint: CacheHint | undefined;
  readonly explanation: Explanation | undefined;
}

/**
 * Executes one operation. Rejects with a GraphQLError with an HTTP status 4xx if the operation is refused
 * before a subgraph is asked. Failures of fetches are errors of the result.
 */
export type Execute = (request: OperationRequest) => Promise<OperationResult>;

/** What is known of an operation of a document. */
interface KnownOperation extends ClientOperation {
  /** The variables that `@skip` and `@include` use, in a fixed order. */
  readonly conditionVariables: readonly string[];
  readonly introspection: Operation | undefined;
  /** What anything in the document requires of viewers, as indexes. */
  readonly requirements: readonly number[];
  /** By the values of the conditions, the override labels that are on, and which requirements are met. */
  readonly compiled: Map<string, Promise<CompiledOperation>>;
}

interface CompiledOperation {
  readonly step: Step | undefined;
  /** Whether equal entities may share the objects below them. */
  readonly shares: boolean;
  readonly project: Project;
  readonly refused: ReadonlySet<string>;
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
  clientOf: (subgraph: string) => SubgraphClient;
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
      conditionVariables: conditionVariablesOf(document),
      introspection: splitIntrospection({ document, operation }).introspection,
      requirements: requirementsOf(schema, requirements, { operation, fragments }),
      compiled: new Map(),
    };
    known.set(operation, created);
    return created;
  };

  const compile = async (
    operation: KnownOperation,
    conditions: Conditions,
    labels: readonly string[],
    outcome: string,
  ): Promise<CompiledOperation> => {
    const access = accessOf(schema, requirements, operation.requirements, outcome);
    const normalised = normalise(schema, operation, conditions, types.requiredNames, access);
    const { text, placeholders, names, refused } = normalised;
    const makePlan = () => planner.plan(text, labels);
    const plan =
      text === '' ? undefined : await (tracing()?.inSpan('gateway.plan', {}, makePlan) ?? makePlan());
    const step =
      plan &&
      compilePlan(plan, {
        ...{ operation: operation.operation, placeholders, types, schema, access, clientOf, supergraph },
      });
    return {
      step,
      shares: !step || fetchesOf(step).every(({ contexts }) => contexts.length === 0),
      project: compileProjection(schema, operation, conditions, names, access),
      refused,
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
    for (const name of operation.conditionVariables) key += variables[name] === true ? '1' : '0';
    const found = operation.compiled.get(key);
    if (found) return found;
    const compiling = compile(operation, variables, labels, outcome);
    if (operation.compiled.size >= maxCompiledForms) operation.compiled.clear();
    operation.compiled.set(key, compiling);
    compiling.catch(() => operation.compiled.delete(key));
    return compiling;
  };

  return async ({ document, operation: named, variables, context, explains }) => {
    const { operation, coerced } = checkOperation(schema, document, named, variables);
    if (operation.operation === 'query') context.deadline.abortWithClient();
    const found = knownOperation(document, operation);
    const compiled = await compiledOperation(found, coerced, context);
    const { step, shares, project, refused, planText } = compiled;
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
      variableTexts: new Map(),
      reports: explains ? [] : undefined,
      startedAt: explains ? performance.now() : 0,
    };
    if (step) await executeStep(step, execution);
    const introspected = found.introspection
      ? introspect(schemaFor(context), found.introspection, variables)
      : undefined;
    const errors: ResponseError[] = [];
    const projection: Projection = {
      faults: execution.faults,
      introspected: textsOf(introspected?.data),
      shared: execution.shared,
      texts: new Map(),
      errors,
      refusal: refusalFor(context),
      path: [],
    };
    const data = project(execution.data, projection);
    // One entry for each request: a list may hold thousands of such values.
    const invalid = errors.find(({ extensions }) => extensions['code'] === gatewayCode.subgraphValueInvalid);
    if (invalid) logger.error({ reason: invalid.cause, path: invalid.path }, 'a value does not fit its type');
    const withoutPath = execution.faults?.withoutPath() ?? [];
    const reported = [...errors, ...withoutPath].slice(0, maxErrors).map(toGraphQLError);
    return {
      data,
      errors: introspected?.errors ? [...reported, ...introspected.errors] : reported,
      cacheHint: execution.cacheHint,
      explanation: execution.reports && {
        plan: await planText(),
        fetches: execution.reports,
        ...(refused.size > 0 && { refused: [...refused] }),
      },
    };
  };
};

const noTexts: Readonly<Record<string, string>> = {};

const textsOf = (
  data: Readonly<Record<string, unknown>> | null | undefined,
): Readonly<Record<string, string>> =>
  data
    ? Object.fromEntries(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]))
    : noTexts;

const fragmentsOf = (document: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> =>
  new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );

/** Returns the variables that decide about `@skip` and `@include` anywhere in a document. */
const conditionVariablesOf = (document: DocumentNode): readonly string[] => {
  const found = new Set<string>();
  visit(document, {
    Directive: ({ name, arguments: [argument] = [] }) => {
      const isCondition = name.value === 'skip' || name.value === 'include';
      if (isCondition && argument?.value.kind === Kind.VARIABLE) found.add(argument.value.name.value);
    },
  });
  return [...found];
};

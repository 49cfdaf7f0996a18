import type {
  FetchDataRewrite,
  FetchNode,
  PlanNode,
  QueryPlan,
  QueryPlanSelectionNode,
} from '@apollo/query-planner';
import { fragmentsOf } from '@cinegraph/service/list-cost';
import {
  Kind,
  parse,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type ValueNode,
} from 'graphql';
import type { SubgraphClient } from '../fetching/client.js';
import type { Companion } from '../fetching/request.js';
import type { Access } from './access.js';
import { compileContexts, type ContextVariable } from './contexts.js';
import { withClientValues, withName } from './fetch-document.js';
import { findSharedEntities, type CompiledFetch, type ProvidedEntities } from './known-entities.js';
import { guardFetch } from './guarded-fetches.js';
import { fetchedFields, compareFetches, type FetchedField } from './merge.js';
import { compileRepresentation, type Representation } from './representations.js';
import { schedule } from './schedule.js';
import { separateFetches, withRequiredFields } from './required-fields.js';
import type { PlannerSupergraph } from '../supergraph/required-arguments.js';
import type { TypeConditions } from './type-conditions.js';

/** A compiled plan: what is done in which order. */
export type Step =
  | FetchStep
  | { readonly kind: 'sequence' | 'parallel'; readonly steps: readonly Step[] }
  | { readonly kind: 'schedule'; readonly fetches: readonly ScheduledFetch[] }
  /** Reports that the fetch before it is merged; deferred steps wait for it. */
  | { readonly kind: 'signal'; readonly id: string };

/** A fetch that starts when others have ended. */
export interface ScheduledFetch {
  readonly step: FetchStep;
  /** How many fetches it waits for. */
  readonly inputs: number;
  /** The indexes of those that wait for it. */
  readonly next: number[];
}

/** What is fetched for one fragment with `@defer`. */
export interface DeferredStep {
  /** The label of the fragment in the operation that was planned. */
  readonly label: string;
  /** The ids of the signals that it waits for. */
  readonly after: readonly string[];
  /** Undefined if its fields come with those that are not deferred. */
  readonly step: Step | undefined;
}

/** A compiled plan; `step` is undefined if nothing is fetched before the first response. */
export interface CompiledPlan {
  readonly step: Step | undefined;
  readonly deferred: readonly DeferredStep[];
}

/** One fetch from a subgraph, compiled once for all requests. */
export interface FetchStep {
  readonly kind: 'fetch';
  readonly client: Pick<SubgraphClient, 'fetch'>;
  readonly subgraph: string;
  readonly operation: 'query' | 'mutation';
  /** The operation's name in the document, made of that of the client's operation; undefined without one. */
  readonly name: string | undefined;
  /** The document as JSON text. */
  readonly query: string;
  /** The same without its name, which it has from the client's operation. */
  readonly unnamed: string;
  /** The client's variables that the document uses, with the names that they have there. */
  readonly variables: readonly { readonly name: string; readonly prefix: string }[];
  /** Where its objects stand in the merged data; `@` stands for each item of a list. */
  readonly path: readonly (string | number)[];
  /** Undefined for a fetch of root fields. */
  readonly representation: Representation | undefined;
  /** The response names that the representation is made of, without those below them. */
  readonly required: readonly string[];
  /** Variables whose values stand above each of its objects (`@fromContext`); empty for most fetches. */
  readonly contexts: readonly ContextVariable[];
  /** What it fetches for each of its objects. */
  readonly fields: readonly FetchedField[];
  /** Response names that the planner replaced, by the name in the subgraph's response. */
  readonly renamed: ReadonlyMap<string, string>;
  readonly outputRewrites: readonly FetchDataRewrite[] | undefined;
  /**
   * Equal for fetches that ask one subgraph for the same fields of entities; undefined if none other does.
   */
  group: number | undefined;
  /** Equal for fetches whose objects are the same; undefined if no other fetch has the same ones. */
  search: number | undefined;
  /** Set for a fetch of entities that starts together with others from the same subgraph. */
  companion: Companion | undefined;
  /** The objects of this fetch that have what a group of fetches asks for. */
  readonly provides: ProvidedEntities[];
}

/**
 * Compiles a plan for one client operation: the placeholders in its documents become what the client wrote.
 */
export const compilePlan = (
  plan: QueryPlan,
  options: {
    operation: OperationDefinitionNode;
    /** Whether parts of the operation are delivered later, also if its plan has no Defer node. */
    isDeferred: boolean;
    placeholders: ReadonlyMap<string, ValueNode>;
    types: TypeConditions;
    schema: GraphQLSchema;
    /** What the viewer may see; undefined if it is everything. */
    access: Access | undefined;
    clientOf: (subgraph: string, document: DocumentNode) => Pick<SubgraphClient, 'fetch'>;
    /** What exists for the planner only; see required-arguments.ts. */
    supergraph: Pick<PlannerSupergraph, 'requiredFields' | 'requiredBy'>;
  },
): CompiledPlan => {
  const { schema, operation, isDeferred, placeholders, types, clientOf, supergraph } = options;
  const deferred: DeferredStep[] = [];
  const compiledFetches: CompiledFetch[] = [];

  let fetchCount = 0;
  /** Subgraphs see in their logs and traces which operation a fetch belongs to. */
  const nameOfNextFetch = (subgraph: string): string | undefined =>
    operation.name && `${operation.name.value}__${subgraph.replaceAll(/\W/g, '_')}__${fetchCount++}`;

  const compileNode = (node: PlanNode, path: readonly (string | number)[]): Step => {
    switch (node.kind) {
      case 'Sequence':
      case 'Parallel':
        return {
          kind: node.kind === 'Sequence' ? 'sequence' : 'parallel',
          steps: node.nodes.map((one) => compileNode(one, path)),
        };
      case 'Flatten':
        return compileNode(node.node, [...path, ...node.path]);
      case 'Fetch': {
        const fetches = separateFetches(node, supergraph, types)
          .flatMap((fetch) => guardFetch(fetch, options))
          .map((fetch) => compileFetch(fetch, path));
        const step: Step =
          fetches.length === 1 && fetches[0] ? fetches[0] : { kind: 'parallel', steps: fetches };
        return node.id === undefined
          ? step
          : { kind: 'sequence', steps: [step, { kind: 'signal', id: node.id }] };
      }
      case 'Defer':
        // Deferred nodes in each other need no order of their own: each waits for the fetches that it names.
        for (const { label = '', depends, node: inner } of node.deferred) {
          const after = depends.map(({ id }) => id);
          deferred.push({ label, after, step: inner && compileNode(inner, path) });
        }
        return node.primary.node ? compileNode(node.primary.node, path) : { kind: 'sequence', steps: [] };
      case 'Condition':
        throw new Error('the plan has a Condition node, though its operation has no condition');
    }
  };

  const compileFetch = (fetch: FetchNode, path: readonly (string | number)[]): FetchStep => {
    const planned = withRequiredFields(fetch.operation, supergraph.requiredFields);
    const document = parse(planned);
    const { text, variables } = withClientValues(planned, document, operation, placeholders);
    const isEntityFetch = fetch.requires !== undefined && fetch.requires.length > 0;
    const name = nameOfNextFetch(fetch.serviceName);
    const step: FetchStep = {
      kind: 'fetch',
      name,
      client: clientOf(fetch.serviceName, document),
      subgraph: fetch.serviceName,
      operation: fetch.operationKind === 'mutation' ? 'mutation' : 'query',
      query: JSON.stringify(withName(text, name)),
      unnamed: JSON.stringify(text),
      variables,
      path,
      representation: isEntityFetch
        ? compileRepresentation(
            fetch.serviceName,
            fetch.requires ?? [],
            fetch.inputRewrites,
            types,
            supergraph.requiredFields,
          )
        : undefined,
      required: [...namesOf(fetch.requires ?? [])],
      contexts: compileContexts(fetch.contextRewrites ?? []),
      fields: fieldsOfFetch(document, isEntityFetch),
      renamed: new Map(
        (fetch.outputRewrites ?? []).flatMap((rewrite) =>
          rewrite.kind === 'KeyRenamer' ? [[rewrite.path.at(-1) ?? '', rewrite.renameKeyTo] as const] : [],
        ),
      ),
      outputRewrites: fetch.outputRewrites,
      group: undefined,
      search: undefined,
      companion: undefined,
      provides: [],
    };
    compiledFetches.push({ step, document });
    return step;
  };

  if (!plan.node) return { step: undefined, deferred };
  if (plan.node.kind === 'Subscription') throw new Error('the plan of a query has no Subscription node');
  const compiled = { step: compileNode(plan.node, []), deferred };
  compareFetches(fetchesOf(compiled));
  // A schedule has no signals, and its parts need all objects of an entity.
  if (operation.operation === 'mutation' || isDeferred) return compiled;
  findSharedEntities(compiledFetches, schema);
  return { step: schedule(compiled.step), deferred };
};

/** Returns all fetches of a compiled plan. */
export const fetchesOf = ({ step, deferred }: CompiledPlan): readonly FetchStep[] =>
  [step, ...deferred.map((one) => one.step)].flatMap((one) => (one ? fetchesOfStep(one) : []));

const fetchesOfStep = (step: Step): readonly FetchStep[] => {
  switch (step.kind) {
    case 'fetch':
      return [step];
    case 'schedule':
      return step.fetches.map((fetch) => fetch.step);
    case 'signal':
      return [];
    default:
      return step.steps.flatMap(fetchesOfStep);
  }
};

const namesOf = (selections: readonly QueryPlanSelectionNode[]): Set<string> =>
  new Set(
    selections.flatMap((selection) =>
      selection.kind === 'Field' ? [selection.alias ?? selection.name] : [...namesOf(selection.selections)],
    ),
  );

/** Returns the fields that a fetch asks for: of its entities, or of the root type. */
const fieldsOfFetch = (document: DocumentNode, isEntityFetch: boolean): FetchedField[] => {
  const sets = document.definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION ? [definition.selectionSet] : [],
  );
  const fields = fetchedFields(sets, fragmentsOf(document));
  return isEntityFetch ? [...(fields[0]?.fields ?? [])] : fields;
};

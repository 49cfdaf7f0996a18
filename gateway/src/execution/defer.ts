import type { QueryPlan } from '@apollo/query-planner';
import type { Logger } from '@cinegraph/service/logger';
import {
  BREAK,
  GraphQLError,
  Kind,
  parse,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type InlineFragmentNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import type { DeferredStep, Step } from './compile.js';
import type { PathStep } from './faults.js';
import type { JsonText } from './json-output.js';
import { isIncluded, type ClientOperation, type Conditions } from './normalise.js';
import type { PendingFragment } from './pending.js';
import type { TypeConditions } from './type-conditions.js';

/** A deferred fragment at one object of the response. */
export interface Part {
  /** Counts from 0 in the order in which the client learns of the parts. */
  readonly id: number;
  /** The client's path of the object. */
  readonly path: readonly PathStep[];
  readonly label: string | undefined;
}

/** A part with its data as JSON text. */
export interface WrittenPart {
  readonly part: Part;
  /** Undefined if a null, which the schema does not accept, removed the whole part. */
  readonly data: JsonText | undefined;
  readonly errors: readonly GraphQLError[];
}

/** What is delivered at one time after the first response. */
export interface Delivery {
  /** Parts that come later and are listed here: those that are nested in delivered ones. */
  readonly pending: readonly Part[];
  readonly written: readonly WrittenPart[];
  /** False if it is the last one. */
  readonly hasNext: boolean;
}

/** What follows the first response of an operation with `@defer`. */
export interface Deliveries {
  /** The parts that the first response lists as pending; if there is none, nothing follows it. */
  readonly first: readonly Part[];
  readonly later: AsyncIterable<Delivery>;
}

/**
 * Returns the operation with its active `@defer`s: fragment spreads are replaced by inline fragments, so that
 * each deferred fragment is one node with one position in the response. Returns the operation itself if none
 * is active.
 */
export const withDeferred = (whole: ClientOperation, conditions: Conditions): ClientOperation => {
  const { operation, fragments } = whole;
  const deferred = new Map<InlineFragmentNode, string | undefined>();
  const expandSet = ({ selections }: SelectionSetNode): SelectionSetNode => ({
    kind: Kind.SELECTION_SET,
    selections: selections.flatMap(expand),
  });
  const expand = (selection: SelectionNode): SelectionNode[] => {
    if (!isIncluded(selection, conditions)) return [];
    if (selection.kind === Kind.FIELD) {
      const { selectionSet } = selection;
      return [selectionSet ? { ...selection, selectionSet: expandSet(selectionSet) } : selection];
    }
    const fragment = fragmentOf(selection, fragments);
    if (!fragment) return [];
    const { typeCondition, selectionSet } = fragment;
    const expanded: InlineFragmentNode = {
      kind: Kind.INLINE_FRAGMENT,
      ...(typeCondition && { typeCondition }),
      selectionSet: expandSet(selectionSet),
    };
    const active = activeDefer(selection, conditions);
    if (active) deferred.set(expanded, active.label);
    return [expanded];
  };
  const selectionSet = expandSet(operation.selectionSet);
  return deferred.size === 0 ? whole : { operation: { ...operation, selectionSet }, fragments, deferred };
};

const fragmentOf = (
  selection: Exclude<SelectionNode, { kind: Kind.FIELD }>,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
) => (selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value));

/** Returns the label of a selection with `@defer`; undefined if it is not deferred. */
const activeDefer = (
  { directives = [] }: SelectionNode,
  conditions: Conditions,
): { label: string | undefined } | undefined => {
  const defer = directives.find(({ name }) => name.value === 'defer');
  if (!defer) return undefined;
  const valueOf = (name: string) => defer.arguments?.find((argument) => argument.name.value === name)?.value;
  const condition = valueOf('if');
  if (condition?.kind === Kind.BOOLEAN && !condition.value) return undefined;
  if (condition?.kind === Kind.VARIABLE && conditions[condition.name.value] === false) return undefined;
  const label = valueOf('label');
  return { label: label?.kind === Kind.STRING ? label.value : undefined };
};

/**
 * Plans a normalised operation with deferred fragments. The planner (2.14.4) fails on some of them. Such an
 * operation is planned without `@defer`: its parts are delivered when all fetches are merged. Rejects with
 * the refusal of the planner, or as it does if it fails again.
 *
 * An operation on interface objects is always planned without `@defer`, because some plans of the planner
 * lack a fetch then.
 */
export const planDeferred = async (
  text: string,
  options: {
    schema: GraphQLSchema;
    types: Pick<TypeConditions, 'interfaceObjects'>;
    plan: (text: string) => Promise<QueryPlan>;
    logger: Logger;
  },
): Promise<QueryPlan> => {
  const { schema, types, plan, logger } = options;
  // The text has no literals of a client: they are placeholders.
  const withoutDefer = text.replaceAll(/@defer\(label:"d\d+"\)/g, '');
  if (usesTypes(schema, withoutDefer, types.interfaceObjects)) return plan(withoutDefer);
  try {
    return await plan(text);
  } catch (error) {
    // A refusal: the operation without `@defer` would use the budget once more.
    if (error instanceof GraphQLError) throw error;
    const planned = await plan(withoutDefer);
    const reason = error instanceof Error ? error.message.slice(0, 500) : error;
    logger.warn({ reason, operation: text.slice(0, 500) }, 'the planner cannot defer parts of an operation');
    return planned;
  }
};

/** Returns true if an operation selects anything of these types. */
const usesTypes = (schema: GraphQLSchema, text: string, names: ReadonlySet<string>): boolean => {
  if (names.size === 0) return false;
  const typeInfo = new TypeInfo(schema);
  let uses = false;
  visit(
    parse(text),
    visitWithTypeInfo(typeInfo, {
      SelectionSet: () => {
        uses ||= names.has(typeInfo.getParentType()?.name ?? '');
        return uses ? BREAK : undefined;
      },
    }),
  );
  return uses;
};

/** The deferred steps of one request. */
export interface DeferredSteps {
  /** Reports that a fetch is merged, on which deferred steps may depend. */
  readonly signal: (id: string) => void;
  /** Resolves when the steps of these labels are executed. It never rejects. */
  readonly executed: (labels: readonly string[]) => Promise<void>;
}

/** Executes each deferred step as soon as the fetches that it depends on are merged. */
export const startDeferred = (
  steps: readonly DeferredStep[],
  execute: (step: Step) => Promise<void>,
): DeferredSteps => {
  const signals = new Map<string, PromiseWithResolve>();
  for (const id of steps.flatMap(({ after }) => after)) signals.set(id, signals.get(id) ?? createSignal());
  const byLabel = new Map<string, Promise<void>>();
  for (const { label, after, step } of steps) {
    const ready = Promise.all(after.flatMap((id) => signals.get(id)?.promise ?? []));
    byLabel.set(
      label,
      ready.then(() => step && execute(step)),
    );
  }
  return {
    signal: (id) => signals.get(id)?.resolve(),
    executed: async (labels) => {
      await Promise.all(labels.flatMap((label) => byLabel.get(label) ?? []));
    },
  };
};

interface PromiseWithResolve {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

const createSignal = (): PromiseWithResolve => {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((resolved) => {
    resolve = resolved;
  });
  return { promise, resolve };
};

/** Parts of one fragment that wait for its steps. */
interface Waiting {
  readonly parts: readonly { readonly part: Part; readonly pending: PendingFragment }[];
  readonly ready: Promise<void>;
  isReady: boolean;
}

/**
 * Prepares the deliveries of one response: `first` are the parts that the first response lists, and
 * `later` delivers each when its steps are executed. Parts that are ready at the same time come together.
 */
export const createDeliveries = (
  first: readonly PendingFragment[],
  options: {
    labelOf: (fragment: InlineFragmentNode) => string | undefined;
    /** Resolves when the data of a fragment are merged. */
    executed: (fragment: InlineFragmentNode) => Promise<void>;
    /** Writes a part; `nested` are the deferred fragments in it. */
    write: (
      pending: PendingFragment,
    ) => Omit<WrittenPart, 'part'> & { readonly nested: readonly PendingFragment[] };
  },
): Deliveries => {
  const { labelOf, executed, write } = options;
  const waiting = new Set<Waiting>();
  let nextId = 0;

  /** Returns the parts, in the order in which their objects stand in the response. */
  const add = (fragments: readonly PendingFragment[]): readonly Part[] => {
    const byFragment = new Map<InlineFragmentNode, { part: Part; pending: PendingFragment }[]>();
    const parts = fragments.map((pending): Part => {
      const part = { id: nextId++, path: pending.path, label: labelOf(pending.fragment) };
      const known = byFragment.get(pending.fragment);
      if (known) known.push({ part, pending });
      else byFragment.set(pending.fragment, [{ part, pending }]);
      return part;
    });
    for (const [fragment, ofFragment] of byFragment) {
      const ready = executed(fragment);
      const group: Waiting = { parts: ofFragment, ready, isReady: false };
      void ready.then(() => {
        group.isReady = true;
      });
      waiting.add(group);
    }
    return parts;
  };

  const deliver = async function* (): AsyncGenerator<Delivery, void> {
    while (waiting.size > 0) {
      await Promise.race([...waiting].map(({ ready }) => ready));
      const written: WrittenPart[] = [];
      const nested: PendingFragment[] = [];
      for (const group of waiting) {
        if (!group.isReady) continue;
        waiting.delete(group);
        for (const { part, pending } of group.parts) {
          const { data, errors, nested: inPart } = write(pending);
          written.push({ part, data, errors });
          nested.push(...inPart);
        }
      }
      const pending = add(nested);
      yield { pending, written, hasNext: waiting.size > 0 };
    }
  };
  return { first: add(first), later: deliver() };
};

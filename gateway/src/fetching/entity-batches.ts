import DataLoader from 'dataloader';
import { deadlineExceeded } from '../errors.js';
import { AbortableLimit, type TimeLimit } from '../request/context.js';
import { takeOrCopy } from './copy.js';
import { failedFetch, type Asker, type Fetch, type FetchResult, type SubgraphRequest } from './request.js';
import type { SubgraphError } from './response.js';

/** One fetch of entities. Only fetches of the same group are merged. */
interface EntityFetch {
  readonly group: string;
  readonly request: SubgraphRequest;
  readonly asker: Asker;
}

/** Fetches that travel as one request, and for each of them the positions of its entities in it. */
interface Batch {
  readonly fetches: EntityFetch[];
  readonly positions: (readonly number[])[];
  /** Each representation and its position. */
  readonly known: Map<string, number>;
}

/** A batch takes no further fetch if it would then have more representations. */
const maxRepresentations = 500;

/**
 * Creates a function that fetches entities through `send`. Fetches that are started in the same tick with the
 * same `group` are merged into one request, in which each representation occurs once. Each gets its own
 * entities, and the errors of these with the paths of its own request. An error without a path goes to all.
 *
 * If the response of a merged request has no entities, each of its fetches is sent alone: the subgraph may
 * have refused what only another one asked, or their number.
 */
export const createEntityBatcher = (
  send: Fetch,
): ((group: string, request: SubgraphRequest, asker: Asker) => Promise<FetchResult>) => {
  // It resolves each fetch with a promise of its own, so that no group waits for another one.
  const loader = new DataLoader<EntityFetch, Promise<FetchResult>>(
    async (fetches) => {
      const results = new Map<EntityFetch, Promise<FetchResult>>();
      for (const batch of batchesOf(fetches)) {
        const sent = sendBatch(send, batch);
        batch.fetches.forEach((fetch, index) => {
          results.set(
            fetch,
            sent.then((parts) => parts[index] ?? failedFetch(deadlineExceeded())),
          );
        });
      }
      return fetches.map((fetch) => results.get(fetch) ?? Promise.resolve(failedFetch(deadlineExceeded())));
    },
    {
      cache: false,
      // Requests whose bytes arrived in one poll phase continue one after the other; setImmediate runs after
      // the last of them.
      batchScheduleFn: setImmediate,
    },
  );
  return async (group, request, asker) => loader.load({ group, request, asker });
};

/** Merges fetches of the same group, in their order. A fetch that was aborted meanwhile is in no batch. */
const batchesOf = (fetches: readonly EntityFetch[]): readonly Batch[] => {
  const batches: Batch[] = [];
  const openBatches = new Map<string, Batch>();
  for (const fetch of fetches) {
    if (fetch.asker.deadline.aborted !== undefined) continue;
    const { representations = [] } = fetch.request;
    let batch = openBatches.get(fetch.group);
    if (!batch || batch.known.size + representations.length > maxRepresentations) {
      batch = { fetches: [], positions: [], known: new Map() };
      openBatches.set(fetch.group, batch);
      batches.push(batch);
    }
    const { known } = batch;
    batch.fetches.push(fetch);
    batch.positions.push(
      representations.map((representation) => {
        const position = known.get(representation) ?? known.size;
        known.set(representation, position);
        return position;
      }),
    );
  }
  return batches;
};

const sendBatch = async (send: Fetch, batch: Batch): Promise<readonly FetchResult[]> => {
  const { fetches, positions, known } = batch;
  const [first] = fetches;
  if (!first) return [];
  if (fetches.length === 1) return [await send(first.request, first.asker)];
  const asker = { ...first.asker, deadline: limitOfAll(fetches.map((fetch) => fetch.asker.deadline)) };
  const result = await send({ ...first.request, representations: [...known.keys()] }, asker);
  if (result.failure) return fetches.map(() => result);
  if (!result.data) return Promise.all(fetches.map((fetch) => send(fetch.request, fetch.asker)));
  const taken: boolean[] = [];
  return positions.map((requested) => pickEntities(result, requested, taken));
};

/** Returns a time limit that ends as late as the last of these, and is aborted when all of them are. */
const limitOfAll = (limits: readonly TimeLimit[]): TimeLimit => {
  const limit = new AbortableLimit(Math.max(...limits.map(({ dueAtMs }) => dueAtMs)));
  let active = limits.length;
  for (const one of limits) {
    one.onAbort(() => {
      active -= 1;
      if (active === 0) limit.abort(one.aborted ?? 'deadline');
    });
  }
  return limit;
};

/**
 * Returns the part of a result that has the entities at `positions`, in this order, with their errors and
 * those without a path; the whole result without `positions`. What is `taken` is copied, because the executor
 * changes what it gets.
 */
export const pickEntities = (
  result: FetchResult,
  positions: readonly number[] | undefined,
  taken: boolean[],
): FetchResult => {
  const { data, errors } = result;
  const entities = data?.['_entities'] as readonly unknown[] | undefined;
  if (!entities) return result;
  const _entities = positions
    ? positions.map((position) => takeOrCopy(entities[position], position, taken))
    : entities.map((entity, position) => takeOrCopy(entity, position, taken));
  return {
    ...result,
    data: { _entities },
    errors:
      !positions || errors.length === 0 ? errors : errors.flatMap((error) => errorsAt(error, positions)),
  };
};

/** Returns a merged request's error as the errors of one fetch, whose entities are at `requested`. */
const errorsAt = (error: SubgraphError, requested: readonly number[]): readonly SubgraphError[] => {
  if (!error.path) return [error];
  const [root = '_entities', position, ...rest] = error.path;
  return requested.flatMap((at, index) =>
    at === position ? [{ ...error, path: [root, index, ...rest] }] : [],
  );
};

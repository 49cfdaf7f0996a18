import { AsyncResource } from 'node:async_hooks';
import { tracing } from '@cinegraph/service/telemetry/tracing';
import DataLoader from 'dataloader';
import { deadlineExceeded } from '../errors.js';
import { groupCompanions, sendCompanions } from './companion-batches.js';
import { takeOrCopy } from './copy.js';
import { limitOfAll } from './flights.js';
import { failedFetch, type Asker, type Fetch, type FetchResult, type SubgraphRequest } from './request.js';
import type { SubgraphError } from './response.js';

/** One fetch of entities. */
interface EntityFetch {
  /** Fetches of the same group are merged; undefined for one that shares no request with another client. */
  readonly group: string | undefined;
  readonly request: SubgraphRequest;
  readonly asker: Asker;
  /** Sends it as a part of its own trace. */
  readonly send: Fetch;
}

/** Fetches with one document, and for each of them the positions of its entities in it. */
export interface Batch {
  readonly first: EntityFetch;
  readonly fetches: EntityFetch[];
  readonly positions: (readonly number[])[];
  /** Each representation and its position. */
  readonly known: Map<string, number>;
}

/** A request takes no further fetch if it would then have more representations. */
const maxRepresentations = 500;

/**
 * Creates a function that fetches entities through `send`. Fetches that are started in the same tick with the
 * same `group` are merged into one request, in which each representation occurs once. Each gets its own
 * entities, and the errors of these with the paths of its own request. An error without a path goes to all.
 * Companions travel in one HTTP request; those without a group only with others of the same client's request.
 *
 * If the response of a merged request has errors and no entities, each of its fetches is sent alone: the
 * subgraph may have refused what only another one asked, or their number. If it fails, all of them fail.
 */
export const createEntityBatcher = (
  send: Fetch,
): ((group: string | undefined, request: SubgraphRequest, asker: Asker) => Promise<FetchResult>) => {
  // It resolves each fetch with a promise of its own, so that no group waits for another one.
  const loader = new DataLoader<EntityFetch, Promise<FetchResult>>(
    async (fetches) => {
      const results = new Map<EntityFetch, Promise<FetchResult>>();
      const batches = batchesOf(fetches);
      for (const together of batches.length > 1 ? groupCompanions(batches, maxRepresentations) : [batches]) {
        const sent = sendBatches(together);
        together.forEach((batch, at) => {
          batch.fetches.forEach((fetch, index) => {
            results.set(
              fetch,
              sent.then((parts) => parts[at]?.[index] ?? failedFetch(deadlineExceeded())),
            );
          });
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
  return async (group, request, asker) =>
    // Otherwise it would belong to the trace of the first fetch of the tick.
    loader.load({ group, request, asker, send: tracing() ? AsyncResource.bind(send) : send });
};

/** Merges fetches of the same group, in their order. A fetch that was aborted meanwhile is in no batch. */
const batchesOf = (fetches: readonly EntityFetch[]): readonly Batch[] => {
  const batches: Batch[] = [];
  const openBatches = new Map<string, Batch>();
  for (const fetch of fetches) {
    if (fetch.asker.deadline.aborted !== undefined) continue;
    const { representations = [] } = fetch.request;
    let batch = fetch.group === undefined ? undefined : openBatches.get(fetch.group);
    if (!batch || batch.known.size + representations.length > maxRepresentations) {
      batch = { first: fetch, fetches: [], positions: [], known: new Map() };
      if (fetch.group !== undefined) openBatches.set(fetch.group, batch);
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

/** Sends batches as one request. Returns the results of the fetches of each. */
const sendBatches = async (batches: readonly Batch[]): Promise<readonly (readonly FetchResult[])[]> => {
  const { documents } = batches[0]?.first.request.companion ?? {};
  const results = batches.length > 1 && documents ? await sendCompanions(batches, documents) : [];
  return Promise.all(
    batches.map(async (batch, at) => {
      const result = results[at];
      return result ? divide(batch, result) : sendBatch(batch);
    }),
  );
};

const sendBatch = async (batch: Batch): Promise<readonly FetchResult[]> => {
  const { first, fetches, known } = batch;
  const { request, asker, send } = first;
  if (fetches.length === 1) return [await send(request, asker)];
  const deadline = limitOfAll(fetches.map((fetch) => fetch.asker.deadline));
  const result = await send({ ...request, representations: [...known.keys()] }, { ...asker, deadline });
  if (result.failure || result.data) return divide(batch, result);
  return Promise.all(fetches.map((fetch) => fetch.send(fetch.request, fetch.asker)));
};

/** Returns the result of each fetch of a batch. */
const divide = ({ fetches, positions }: Batch, result: FetchResult): readonly FetchResult[] => {
  if (result.failure) return fetches.map(() => result);
  const taken: boolean[] = [];
  return positions.map((requested) => pickEntities(result, requested, taken));
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

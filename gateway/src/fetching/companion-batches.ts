import type { TimeLimit } from '../request/context.js';
import type { Batch } from './entity-batches.js';
import { limitOfAll } from './flights.js';
import { aliasOf, representationsOf, scopeOf } from './request.js';
import type { CompanionDocuments, FetchResult } from './request.js';
import type { SubgraphError } from './response.js';

/** Some subgraphs refuse a document with many aliases, usually with more than 15. */
const maxAliases = 10;

/** After a refusal, the fetches of a plan are sent alone during this time. */
const apartMs = 60_000;

/**
 * Divides batches into those that travel together: companions with the same viewer, forwarded headers and
 * variables. Those of fetches without a group are also of one client's request.
 */
export const groupCompanions = (
  batches: readonly Batch[],
  maxRepresentations: number,
): readonly (readonly Batch[])[] => {
  const groups: Batch[][] = [];
  const openGroups = new Map<CompanionDocuments, Map<string, Batch[]>>();
  const clients = new Map<TimeLimit, number>();
  for (const batch of batches) {
    const { group: sharing, request, asker } = batch.first;
    const started = [batch];
    const documents = request.companion?.documents;
    if (!documents || documents.apartUntilMs > performance.now()) {
      groups.push(started);
      continue;
    }
    const open = openGroups.get(documents) ?? new Map<string, Batch[]>();
    openGroups.set(documents, open);
    let who: string | number;
    if (sharing === undefined) {
      who = clients.get(asker.deadline) ?? clients.size;
      clients.set(asker.deadline, who);
    } else who = scopeOf(asker);
    const key = `${who}\n${request.variables}`;
    const group = open.get(key);
    if (group && hasRoomFor(group, batch, maxRepresentations)) {
      group.push(batch);
    } else {
      groups.push(started);
      open.set(key, started);
    }
  }
  return groups;
};

const hasRoomFor = (group: readonly Batch[], batch: Batch, maxRepresentations: number): boolean => {
  if (group.length === maxAliases) return false;
  let size = batch.known.size;
  for (const one of group) {
    if (indexOf(one) === indexOf(batch)) return false;
    size += one.known.size;
  }
  return size <= maxRepresentations;
};

const indexOf = ({ first }: Batch): number => first.request.companion?.index ?? 0;

/**
 * Sends batches that travel together as one request, whose document has an alias for each. Returns the result
 * of each; undefined if the batch must be sent alone, because the response does not have its entities, or has
 * an error that does not say to which of them it belongs.
 */
export const sendCompanions = async (
  batches: readonly Batch[],
  documents: CompanionDocuments,
): Promise<readonly (FetchResult | undefined)[]> => {
  const members = batches.map(
    (batch) => `"${representationsOf(indexOf(batch))}":[${[...batch.known.keys()].join()}]`,
  );
  const [first] = batches;
  if (!first) return [];
  const { request, asker, send } = first.first;
  const deadline = limitOfAll(batches.flatMap(({ fetches }) => fetches.map((fetch) => fetch.asker.deadline)));
  const result = await send(
    {
      kind: 'query',
      query: documents.combined(batches.map(indexOf).sort((one, other) => one - other)),
      variables: [...(request.variables === '' ? [] : [request.variables]), ...members].join(),
    },
    { ...asker, deadline },
  );
  if (result.failure) return batches.map(() => result);
  if (!result.data) documents.apartUntilMs = performance.now() + apartMs;
  const aliases = batches.map((batch) => aliasOf(indexOf(batch)));
  if (!result.errors.every((error) => isOfEntity(error, aliases))) return batches.map(() => undefined);
  return batches.map(({ known }, at) => {
    const alias = aliases[at] ?? '';
    const entities = result.data?.[alias];
    if (!Array.isArray(entities) || entities.length !== known.size) return undefined;
    return {
      ...result,
      data: { _entities: entities },
      errors: result.errors.flatMap((error) => errorsOf(error, alias)),
      isShared: true,
    };
  });
};

/** Returns true if an error's path leads to an entity below one of the aliases. */
const isOfEntity = ({ path }: SubgraphError, aliases: readonly string[]): boolean =>
  typeof path?.[1] === 'number' && aliases.some((alias) => alias === path[0]);

/** Returns an error as one of the fetch with an alias; none if it is another one's. */
const errorsOf = (error: SubgraphError, alias: string): readonly SubgraphError[] => {
  const [root, ...rest] = error.path ?? [];
  return root === alias ? [{ ...error, path: ['_entities', ...rest] }] : [];
};

import type { Batch } from './entity-batches.js';
import { limitOfAll } from './flights.js';
import { aliasOf, representationsOf, scopeOf } from './request.js';
import type { CompanionDocuments, Fetch, FetchResult } from './request.js';
import type { SubgraphError } from './response.js';

/** Some subgraphs refuse a document with many aliases, usually with more than 15. */
const maxAliases = 10;

interface GroupLimits {
  /** How many representations one request may have. */
  readonly maxRepresentations: number;
  /** Whether all fetches of a request must be of one client's request. */
  readonly isPerClient: boolean;
}

/**
 * Divides batches into groups that travel as one request each: fetches of the same plan, for the same viewer
 * and with the same forwarded headers.
 */
export const groupCompanions = (
  batches: readonly Batch[],
  limits: GroupLimits,
): readonly (readonly Batch[])[] => {
  const groups: Batch[][] = [];
  const openGroups = new Map<CompanionDocuments, Batch[][]>();
  for (const batch of batches) {
    const documents = batch.first.request.companion?.documents;
    const open = (documents && openGroups.get(documents)) ?? [];
    const group = open.find((one) => isFor(one, batch, limits));
    if (group) {
      group.push(batch);
      continue;
    }
    const started = [batch];
    groups.push(started);
    if (documents) openGroups.set(documents, [...open, started]);
  }
  return groups;
};

const isFor = (group: readonly Batch[], { first, known }: Batch, limits: GroupLimits): boolean => {
  let size = known.size;
  for (const one of group) size += one.known.size;
  if (group.length === maxAliases || size > limits.maxRepresentations) return false;
  const { companion, variables } = first.request;
  const scope = scopeOf(first.asker);
  return group.every(
    ({ first: { request, asker } }) =>
      request.companion?.index !== companion?.index &&
      // Otherwise one variable could have two values, or be written twice.
      (request.variables === variables || request.variables === '' || variables === '') &&
      scopeOf(asker) === scope &&
      (!limits.isPerClient || asker.deadline === first.asker.deadline),
  );
};

/**
 * Sends the batches of a group as one request, whose document has an alias for each. Returns the result of
 * each batch as if it had been sent alone; undefined if the response does not have its entities. An error
 * without a path goes to all.
 */
export const sendGroup = async (
  send: Fetch,
  group: readonly Batch[],
): Promise<readonly (FetchResult | undefined)[]> => {
  const indexes = group.map(({ first }) => first.request.companion?.index ?? 0);
  const documents = group[0]?.first.request.companion?.documents;
  const asker = group[0]?.first.asker;
  if (!documents || !asker) return group.map(() => undefined);
  const members = group.map(
    ({ known }, at) => `"${representationsOf(indexes[at] ?? 0)}":[${[...known.keys()].join()}]`,
  );
  const variables = group.map(({ first }) => first.request.variables).find((text) => text !== '');
  const deadline = limitOfAll(group.flatMap(({ fetches }) => fetches.map((fetch) => fetch.asker.deadline)));
  const result = await send(
    {
      kind: 'query',
      query: documents.combined(indexes),
      variables: [...(variables === undefined ? [] : [variables]), ...members].join(),
    },
    { ...asker, deadline },
  );
  if (result.failure) return group.map(() => result);
  const aliases = indexes.map(aliasOf);
  const errors = result.errors.map((error) => withUsablePath(error, aliases));
  return group.map(({ known }, at) => {
    const alias = aliases[at] ?? '';
    const entities = result.data?.[alias];
    if (!Array.isArray(entities) || entities.length !== known.size) return undefined;
    return {
      ...result,
      data: { _entities: entities },
      errors: errors.flatMap((error) => errorsOf(error, alias)),
      isShared: true,
    };
  });
};

/** Removes the path of an error that leads to no entity. */
const withUsablePath = (error: SubgraphError, aliases: readonly string[]): SubgraphError => {
  const [root, position] = error.path ?? [];
  const isUsable = typeof position === 'number' && aliases.some((alias) => alias === root);
  return isUsable || error.path === undefined ? error : { ...error, path: undefined };
};

/** Returns an error as one of the fetch with an alias; none if it is another one's. */
const errorsOf = (error: SubgraphError, alias: string): readonly SubgraphError[] => {
  if (!error.path) return [error];
  const [root, ...rest] = error.path;
  return root === alias ? [{ ...error, path: ['_entities', ...rest] }] : [];
};

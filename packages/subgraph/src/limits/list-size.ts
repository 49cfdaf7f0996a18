import type { ApolloServerPlugin } from '@apollo/server';
import { costOfLists, type CostRules, type CountedOperation } from '@cinegraph/service/list-cost';
import { refusedRequest } from '@cinegraph/service/refusal';
import { isObjectType, type GraphQLSchema } from 'graphql';

/** The maximum number of items that the lists of one operation may return together. */
export const maxItems = 20_000;

/** Each list is a read of the store, even if it is empty. A plain list comes with the object that has it. */
const rules: CostRules = { readCost: 20, pageSize: 20, plainList: { size: 1, weight: 0 } };

/**
 * Creates a plug-in that refuses, before anything is read, an operation whose nested lists could return more
 * than 20,000 items. The sizes of nested lists multiply, so that a hundred characters may request a hundred
 * million items. A list counts its `first` or `last` (20 if there is neither) and 20 for the read.
 * `_entities` counts its representations, which must be objects of a type in the schema.
 */
export const itemLimit = (): ApolloServerPlugin => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ schema, document, operation, request }) => {
      if (!operation) return;
      const items = countItems({ schema, document, operation, variables: request.variables ?? {} });
      if (items <= maxItems) return;
      throw refusedRequest(
        `The lists of this operation could return ${items > 1e9 ? 'more than a billion' : items} items, but at most ${maxItems} are allowed. Ask for shorter lists.`,
      );
    },
  }),
});

/** Returns how many items the lists of a validated operation could return. */
export const countItems = (counted: CountedOperation): number =>
  costOfLists(counted, {
    ...rules,
    sizeOf: ({ name }, value) =>
      name === '_entities' ? countRepresentations(counted.schema, value('representations')) : undefined,
  });

const countRepresentations = (schema: GraphQLSchema, representations: unknown): number => {
  const list: readonly unknown[] = Array.isArray(representations) ? representations : [representations];
  for (const representation of list) {
    const { __typename: name } = (representation ?? {}) as { __typename?: unknown };
    if (typeof name === 'string' && isObjectType(schema.getType(name))) continue;
    throw refusedRequest(
      'Each representation must be an object with the __typename of an entity of this subgraph.',
    );
  }
  return list.length;
};

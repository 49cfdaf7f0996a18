import type { ApolloServerPlugin } from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import { costOfLists, sizeArguments, type CostRules } from '@cinegraph/service/list-cost';
import { parse, type DocumentNode, type GraphQLSchema } from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';
import type { RequestContext } from './context.js';
import { countVariableValues, measureDocument, type DocumentSize } from './document-size.js';

/** A limit: the largest size that is served, what is counted, and what a client can do instead. */
interface Limit {
  readonly max: number;
  readonly counted: string;
  readonly advice: string;
}

/** The limits of a document, in the order in which they are checked. docs/operations.md lists them. */
export const documentLimits: Readonly<Record<keyof DocumentSize, Limit>> = {
  operations: {
    max: 50,
    counted: 'operations in the document',
    advice: 'Send only the operation that is to be executed.',
  },
  directives: {
    max: 200,
    counted: 'directives in the document',
    advice: 'Send fewer, or several requests.',
  },
  directivesAtOnePosition: {
    max: 5,
    counted: 'directives at one position',
    advice: 'Send each of them once.',
  },
  repeatedFields: {
    max: 50,
    counted: 'fields that the same selection set has already',
    advice: 'Select each field once.',
  },
  values: {
    max: 4_000,
    counted: 'values in arguments',
    advice: 'Send fewer, in several requests.',
  },
  rootFields: {
    max: 50,
    counted: 'fields at the root of the operation',
    advice: 'Send several requests.',
  },
  depth: {
    max: 30,
    counted: 'levels of nested fields',
    advice: 'Ask for less depth, or in several requests.',
  },
  aliases: {
    max: 100,
    counted: 'aliases, with those of its fragments',
    advice: 'Send several requests.',
  },
  selections: {
    max: 3_000,
    counted: 'fields, with those of its fragments',
    advice: 'Ask for less, or in several requests.',
  },
};

/** The limit of the values in the variables of a request. */
export const variablesLimit: Limit = {
  max: 4_000,
  counted: 'values in the variables',
  advice: 'Send fewer, in several requests.',
};

/** The limit of the items that the lists of an operation could return. */
export const listLimit: Limit = {
  max: 20_000,
  counted: 'items that the lists of the operation could return',
  advice: 'Ask for shorter lists, or for fewer lists in each other.',
};

/** How the items of an operation are counted, besides the directives of the supergraph. */
export const listRules: CostRules = {
  readCost: 0,
  pageSize: 20,
  plainList: { size: 10, weight: 1 },
  // A size that no list may have is one bad argument, not a complex operation.
  sizeOf: (field, value) => {
    for (const name of sizeArguments) {
      const size = value(name);
      if (typeof size !== 'number' || size <= listLimit.max) continue;
      throw refusedOperation(
        ApolloServerErrorCode.BAD_USER_INPUT,
        `The argument "${name}" of ${field.name} is ${size}, but at most ${listLimit.max} items are allowed. Ask for a shorter list.`,
      );
    }
    return undefined;
  },
};

/**
 * Creates the plug-in that refuses operations over a limit with HTTP 400, before anything is planned or
 * fetched. What depends on the text alone is checked before validation, whose time can grow with the square
 * of the text. The items of lists are counted with `rulesOf` the schema of the request.
 */
export const operationLimits = (
  rulesOf: (schema: GraphQLSchema) => CostRules['ofField'],
): ApolloServerPlugin<RequestContext> => {
  const refusedTexts = new WeakMap<DocumentNode, string>();
  return {
    requestDidStart: async () => ({
      validationDidStart: async (context) => {
        const refused = overLimit(documentLimits, measureDocument(context.document));
        if (refused === undefined) return;
        // Apollo Server takes no refusal here. An empty document instead of this one passes validation, and
        // is kept in the document store, so that the same text is refused at once when it comes again.
        const empty = parse('{ __typename }');
        refusedTexts.set(empty, refused);
        Object.assign(context, { document: empty });
      },
      didResolveOperation: async ({ schema, document, operation, request }) => {
        const refused = refusedTexts.get(document);
        if (refused !== undefined) throw tooComplex(refused);
        if (!operation) return;
        const variables = request.variables ?? {};
        const values = countVariableValues(variables, variablesLimit.max);
        if (values > variablesLimit.max) {
          throw refusedOperation(
            ApolloServerErrorCode.BAD_USER_INPUT,
            `The request has more than ${variablesLimit.max} ${variablesLimit.counted}. ${variablesLimit.advice}`,
          );
        }
        const ofField = rulesOf(schema);
        const items = costOfLists(
          { schema, document, operation, variables },
          { ...listRules, ...(ofField && { ofField }) },
        );
        if (items > listLimit.max) throw tooComplex(sentence(listLimit, items));
      },
    }),
  };
};

/** Returns the sentence about the first limit that a size exceeds; undefined if there is none. */
export const overLimit = <Name extends string>(
  limits: Readonly<Record<Name, Limit>>,
  sizes: Readonly<Record<Name, number>>,
): string | undefined => {
  for (const name of Object.keys(limits) as Name[]) {
    if (sizes[name] > limits[name].max) return sentence(limits[name], sizes[name]);
  }
  return undefined;
};

const sentence = ({ max, counted, advice }: Limit, size: number): string =>
  `There are ${size > 1e9 ? 'more than a billion' : size} ${counted}, but at most ${max} are allowed. ${advice}`;

const tooComplex = (message: string) => refusedOperation(gatewayCode.operationTooComplex, message);

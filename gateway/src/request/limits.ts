import type { ApolloServerPlugin, GraphQLRequestListener } from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import type { CountedOperation } from '@cinegraph/service/list-cost';
import { parse, type DocumentNode } from 'graphql';
import { gatewayCode, refusedOperation } from '../errors.js';
import type { RequestContext } from './context.js';
import { countVariableValues, measureDocument, type DocumentSize } from './document-size.js';
import { maxListSize, type OperationCost } from './operation-cost.js';

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
  max: maxListSize,
  counted: 'items that the lists of the operation could return',
  advice: 'Ask for shorter lists, or for fewer lists in each other.',
};

/** The limit of the cost of an operation by `@cost` and `@listSize`. */
export const costLimit: Limit = {
  max: 50_000,
  counted: 'units of cost in the operation',
  advice: 'Ask for shorter lists, or in several requests.',
};

/**
 * Creates the plug-in that refuses operations over a limit with HTTP 400, before anything is planned or
 * fetched. What depends on the text alone is checked before validation, whose time can grow with the square
 * of the text. The rest is what `costOf` returns. An operation within the limits is charged to the account of
 * its request, which may refuse it with HTTP 429.
 */
export const operationLimits = (
  costOf: (counted: CountedOperation) => OperationCost,
): ApolloServerPlugin<RequestContext> => {
  const refusedTexts = new WeakMap<DocumentNode, string>();
  const listener: GraphQLRequestListener<RequestContext> = {
    validationDidStart: async (context) => {
      const refused = overLimit(documentLimits, measureDocument(context.document));
      if (refused === undefined) return;
      // Apollo Server takes no refusal here. An empty document instead of this one passes validation, and
      // is kept in the document store, so that the same text is refused at once when it comes again.
      const empty = parse('{ __typename }');
      refusedTexts.set(empty, refused);
      Object.assign(context, { document: empty });
    },
    didResolveOperation: async ({ schema, document, operation, request, contextValue }) => {
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
      const cost = costOf({ schema, document, operation, variables });
      if (cost.items > listLimit.max) throw tooComplex(sentence(listLimit, cost.items));
      if (cost.cost > costLimit.max) throw tooComplex(sentence(costLimit, cost.cost));
      await contextValue.account?.charge(cost);
    },
  };
  return { requestDidStart: async () => listener };
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

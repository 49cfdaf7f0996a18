import type { ApolloServerPlugin } from '@apollo/server';
import { findUnstorableText, isStorableText } from '@cinegraph/database/storable-text';
import { refusedRequest } from '@cinegraph/service/refusal';
import { visit } from 'graphql';

/**
 * Creates a plug-in that refuses, before execution, a request whose variables or literals hold text that
 * PostgreSQL cannot store.
 */
export const storableTextGuard = (): ApolloServerPlugin => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ request, document }) => {
      const variable = findUnstorableText(request.variables ?? {}, '');
      if (variable !== undefined) throw unstorable(`The variable ${variable.slice(0, 100)}`);
      visit(document, {
        StringValue: ({ value }) => {
          if (!isStorableText(value)) throw unstorable('A string in the query');
        },
      });
    },
  }),
});

const unstorable = (location: string) =>
  refusedRequest(
    `${location} cannot be stored: it holds U+0000, half a surrogate pair, or more than 50 levels. Remove it.`,
  );

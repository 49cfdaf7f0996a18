import { findUnstorableText, isStorableText } from '@cinegraph/database/storable-text';
import { refusedRequest } from '@cinegraph/service/refusal';
import type { ApolloServerPlugin } from '@apollo/server';
import { visit } from 'graphql';

const refusal = (where: string) =>
  refusedRequest(
    `${where} holds what cannot be stored: U+0000, half a surrogate pair, or more than 50 levels. Remove it.`,
  );

/** Refuses, before anything is executed, a request whose variables or literals hold text that cannot be stored. */
export const storableTextGuard = (): ApolloServerPlugin => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ request, document }) => {
      const variable = findUnstorableText(request.variables ?? {}, '');
      if (variable !== undefined) throw refusal(`The variable ${variable.slice(0, 100)}`);
      visit(document, {
        StringValue: ({ value }) => {
          if (!isStorableText(value)) throw refusal('A text in the query');
        },
      });
    },
  }),
});

import type { ApolloServerPlugin } from '@apollo/server';
import { refusedNull } from '@cinegraph/service/null-variables';

/**
 * Creates a plug-in that refuses, before execution, a request whose variable is null at a position that does
 * not accept null. Execution would report it as a fault of ours.
 */
export const nullGuard = (): ApolloServerPlugin => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ schema, document, operation, request }) => {
      if (!operation) return;
      const refused = refusedNull({ schema, document, operation, variables: request.variables ?? {} });
      if (refused) throw refused;
    },
  }),
});

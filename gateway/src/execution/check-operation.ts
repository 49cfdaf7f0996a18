import { ApolloServerErrorCode } from '@apollo/server/errors';
import { refusedNull } from '@cinegraph/service/null-variables';
import {
  getVariableValues,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { refusedOperation } from '../errors.js';

/** An operation that may be executed, and the values of its variables with their defaults. */
export interface CheckedOperation {
  readonly operation: OperationDefinitionNode;
  readonly coerced: Readonly<Record<string, unknown>>;
}

/**
 * Returns the operation to execute. Throws with HTTP 400, before any subgraph is asked, if the document has
 * no such operation, if it is a subscription, or if a variable does not have the type that the operation
 * declares, or is null where null is not accepted.
 */
export const checkOperation = (
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode | undefined,
  variables: Readonly<Record<string, unknown>>,
): CheckedOperation => {
  if (!operation) {
    throw refusedOperation(
      ApolloServerErrorCode.OPERATION_RESOLUTION_FAILURE,
      'The document holds no operation of this name, or several and none was named in "operationName".',
    );
  }
  if (operation.operation === 'subscription') {
    throw refusedOperation(ApolloServerErrorCode.BAD_REQUEST, 'Subscriptions are not served here.');
  }
  // The executor would report each fault of the variables, with the whole value in each message.
  const { errors, coerced = {} } = getVariableValues(schema, operation.variableDefinitions ?? [], variables, {
    maxErrors: 1,
  });
  const [fault] = errors ?? [];
  if (fault) throw refusedOperation(ApolloServerErrorCode.BAD_USER_INPUT, fault.message, fault.nodes);
  const refused = refusedNull({ schema, document, operation, variables });
  if (refused) throw refused;
  return { operation, coerced };
};

import { deferRules } from '@cinegraph/service/defer';
import {
  GraphQLError,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import { maxTokens, measureDocument } from './document-size.js';
import { documentLimits, overLimit } from './limits.js';

/** Why an operation cannot be executed. `line` and `column` are those in its text. */
export interface OperationFault {
  readonly message: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/** The rules of a request. */
const rules = [...specifiedRules, deferRules];

/**
 * Parses the text of a saved operation, and checks it as far as a request is checked without its variables:
 * syntax, the limits of a document, and validation. `faults` is empty if a gateway with this schema executes
 * it.
 */
export const checkSavedOperation = (
  text: string,
  schema: GraphQLSchema,
): { readonly document: DocumentNode | undefined; readonly faults: readonly OperationFault[] } => {
  let document: DocumentNode | undefined;
  try {
    document = parse(text, { maxLexicalTokens: maxTokens });
    const over = overLimit(documentLimits, measureDocument(document));
    return {
      document,
      faults: over === undefined ? validate(schema, document, rules).map(faultOf) : [{ message: over }],
    };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return { document, faults: [faultOf(error)] };
  }
};

const faultOf = ({ message, locations }: GraphQLError): OperationFault => ({ message, ...locations?.[0] });

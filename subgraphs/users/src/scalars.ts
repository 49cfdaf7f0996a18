import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { GraphQLScalarType } from 'graphql';

/** A time as RFC 3339 text in UTC with milliseconds. It occurs only in results, never as an input. */
export const DateTime = new GraphQLScalarType<string, string>({
  name: 'DateTime',
  serialize: String,
  parseValue: () => {
    throw new Refusal(refusalCode.badUserInput, 'A DateTime is never an input here.');
  },
});

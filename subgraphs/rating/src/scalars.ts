import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { isScore, scoreOutOfRange } from './rules.js';

const readScore = (value: unknown): number => {
  if (isScore(value)) return value;
  throw scoreOutOfRange();
};

/**
 * A whole number from 1 to 10. Other values are refused with RATING_OUT_OF_RANGE when arguments are parsed.
 */
export const Score = new GraphQLScalarType<number, number>({
  name: 'Score',
  serialize: readScore,
  parseValue: readScore,
  parseLiteral: (node: ValueNode) => readScore(node.kind === Kind.INT ? Number(node.value) : undefined),
});

/** A point in time, as RFC 3339 text in UTC with milliseconds. rating has it in its results only. */
export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  serialize: (value) => (value as Date).toISOString(),
  parseValue: (value) => {
    const moment = new Date(String(value));
    if (!Number.isNaN(moment.getTime())) return moment;
    throw new Refusal(refusalCode.badUserInput, 'A DateTime is RFC 3339 text.');
  },
});

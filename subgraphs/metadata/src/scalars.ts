import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { isCurrencyCode, isDay, isDecimal } from './rules.js';

/**
 * Creates a scalar that is text in memory and on the wire. An input that `accepts` rejects is refused with
 * `advice` as BAD_USER_INPUT, before a resolver runs.
 */
const textScalar = (name: string, accepts: (text: string) => boolean, advice: string) => {
  const read = (value: unknown): string => {
    if (typeof value === 'string' && accepts(value)) return value;
    throw new Refusal(refusalCode.badUserInput, advice);
  };
  return new GraphQLScalarType<string, string>({
    name,
    serialize: String,
    parseValue: read,
    parseLiteral: (node: ValueNode) => read(node.kind === Kind.STRING ? node.value : undefined),
  });
};

/** A day as YYYY-MM-DD, from 1870-01-01 to 2199-12-31. */
export const Date = textScalar(
  'Date',
  isDay,
  'A Date is a day as YYYY-MM-DD, from 1870-01-01 to 2199-12-31.',
);

/** A time as RFC 3339 text in UTC with milliseconds. It occurs only in results, never as an input. */
export const DateTime = textScalar('DateTime', () => false, 'A DateTime is never an input here.');

/** An exact amount as text. */
export const Decimal = textScalar(
  'Decimal',
  isDecimal,
  'A Decimal is text like "9.99": at most 15 digits before the point and 4 after it, not negative.',
);

/** An ISO 4217 currency code. */
export const CurrencyCode = textScalar(
  'CurrencyCode',
  isCurrencyCode,
  'A CurrencyCode is the ISO 4217 code of a currency, e.g. USD.',
);

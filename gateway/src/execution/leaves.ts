import { isEnumType, type GraphQLLeafType } from 'graphql';
import { NumberText, quote, writeJson } from './numbers.js';

const maxInt = 2_147_483_647;

/**
 * Returns how values of a leaf type are written: as JSON text, or undefined if a value is not of the type.
 * An integer for an ID becomes a string (section 3.5.5 of the GraphQL specification); a number of a Float or
 * of a custom scalar keeps its digits.
 */
export const leafText = (type: GraphQLLeafType): ((value: unknown) => string | undefined) => {
  if (isEnumType(type)) {
    const texts = new Map<unknown, string>(type.getValues().map(({ name }) => [name, quote(name)]));
    return (value) => texts.get(value);
  }
  switch (type.name) {
    case 'String':
      return (value) => (typeof value === 'string' ? quote(value) : undefined);
    case 'ID':
      return (value) => {
        if (typeof value === 'string') return quote(value);
        const text = value instanceof NumberText ? value.text : String(value);
        return typeof value !== 'boolean' && /^-?\d+$/.test(text) ? `"${text}"` : undefined;
      };
    case 'Int':
      return (value) => {
        const number = value instanceof NumberText ? Number(value.text) : value;
        return typeof number === 'number' &&
          Number.isInteger(number) &&
          Math.abs(number) <= maxInt + Number(number < 0)
          ? String(number)
          : undefined;
      };
    case 'Float':
      return (value) => {
        if (value instanceof NumberText) return value.text;
        return typeof value === 'number' ? String(value) : undefined;
      };
    case 'Boolean':
      return (value) => (typeof value === 'boolean' ? String(value) : undefined);
    default:
      return writeJson;
  }
};

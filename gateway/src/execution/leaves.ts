import { isEnumType, type GraphQLLeafType } from 'graphql';
import type { JsonOutput } from './json-output.js';
import { NumberText, quote, writeJson } from './numbers.js';

const maxInt = 2_147_483_647;

/** Writes a value as JSON. Returns false, and writes nothing, if the value is not of the type. */
export type WriteLeaf = (value: unknown, output: JsonOutput) => boolean;

/**
 * Returns how values of a leaf type are written. An integer for an ID becomes a string (section 3.5.5 of the
 * GraphQL specification); a number of a Float or of a custom scalar keeps its digits.
 */
export const leafWriter = (type: GraphQLLeafType): WriteLeaf => {
  if (isEnumType(type)) {
    const texts = new Map<unknown, string>(type.getValues().map(({ name }) => [name, quote(name)]));
    return (value, output) => writeText(texts.get(value), output);
  }
  switch (type.name) {
    case 'String':
      return (value, output) => typeof value === 'string' && writeString(value, output);
    case 'ID':
      return (value, output) => {
        if (typeof value === 'string') return writeString(value, output);
        const text = value instanceof NumberText ? value.text : String(value);
        return typeof value !== 'boolean' && /^-?\d+$/.test(text) && writeString(text, output);
      };
    case 'Int':
      return (value, output) => {
        const number = value instanceof NumberText ? Number(value.text) : value;
        return (
          typeof number === 'number' &&
          Number.isInteger(number) &&
          Math.abs(number) <= maxInt + Number(number < 0) &&
          writeText(String(number), output)
        );
      };
    case 'Float':
      return (value, output) => {
        if (value instanceof NumberText) return writeText(value.text, output);
        return typeof value === 'number' && writeText(String(value), output);
      };
    case 'Boolean':
      return (value, output) => typeof value === 'boolean' && writeText(String(value), output);
    default:
      return (value, output) => writeText(writeJson(value), output);
  }
};

const writeString = (value: string, output: JsonOutput): true => {
  output.writeString(value);
  return true;
};

const writeText = (text: string | undefined, output: JsonOutput): boolean => {
  if (text === undefined) return false;
  output.write(text);
  return true;
};

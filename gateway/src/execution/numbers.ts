/** A JSON number that JavaScript would not write as it was read. */
export class NumberText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Finds a number that might change when JavaScript reads and writes it: one with 16 digits, an exponent, or a
 * fraction that ends in zero or has 14 digits. Text inside strings may match as well.
 */
const changeable = /[:,[]\s*-?(?:\d{16}|\d+(?:\.\d*(?:0[,\]}\s]|\d{14})|\.?\d*[eE])|-0[,\]}\s])/;

/** A text that is a number. In one expression with the other, long texts would take longer. */
const startsWithNumber = /^\s*-?\d/;

/** Returns true if the numbers of a JSON text must be looked at one by one. */
export const mayChange = (text: string): boolean => startsWithNumber.test(text) || changeable.test(text);

/**
 * Parses JSON. A number that JavaScript would write in another way (9007199254740993, 1.10, 1.0, 1e3) is a
 * {@link NumberText}; all other values are as from `JSON.parse`. Throws a SyntaxError if the text is not
 * JSON.
 */
export const parseJson = (text: string): unknown => {
  const value: unknown = JSON.parse(text);
  return mayChange(text) && hasChangingNumber(text) ? readExactly(text) : value;
};

const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Returns true if a number of the text, or a string that looks like one, would change. */
const hasChangingNumber = (text: string): boolean => {
  for (const [found] of text.matchAll(number)) if (String(Number(found)) !== found) return true;
  return false;
};

/** Reads a text that is known to be JSON, and keeps the numbers that would change. */
const readExactly = (text: string): unknown => {
  let at = 0;
  const skipSpace = (): void => {
    while (text.charCodeAt(at) <= 0x20) at += 1;
  };
  const token = /"(?:[^"\\]|\\.)*"|true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/sy;
  const readScalar = (): unknown => {
    token.lastIndex = at;
    const [found = ''] = token.exec(text) ?? [];
    at += found.length;
    const value: unknown = JSON.parse(found);
    return typeof value === 'number' && String(value) !== found ? new NumberText(found) : value;
  };
  const readValue = (): unknown => {
    skipSpace();
    const first = text[at];
    if (first === '{') return readObject();
    if (first === '[') return readArray();
    return readScalar();
  };
  const readObject = (): Record<string, unknown> => {
    const object: Record<string, unknown> = {};
    at += 1;
    for (;;) {
      skipSpace();
      if (text[at] === ',') at += 1;
      else if (text[at] === '}') break;
      else {
        const key = String(readScalar());
        skipSpace();
        at += 1;
        const value = readValue();
        // An assignment to `__proto__` would change the prototype.
        if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true });
        else object[key] = value;
      }
    }
    at += 1;
    return object;
  };
  const readArray = (): unknown[] => {
    const array: unknown[] = [];
    at += 1;
    for (;;) {
      skipSpace();
      if (text[at] === ',') at += 1;
      else if (text[at] === ']') break;
      else array.push(readValue());
    }
    at += 1;
    return array;
  };
  return readValue();
};

/** Writes a value as JSON; a {@link NumberText} is written as it was read. */
export const writeJson = (value: unknown): string => {
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${quote(key)}:${writeJson(member)}`);
  return `{${members.join(',')}}`;
};

/** Text that stands in JSON as it is. */
const plain = /^[\x20\x21\x23-\x5b\x5d-\ud7ff\ue000-\uffff]*$/;

/** Writes a string as JSON. */
export const quote = (text: string): string => (plain.test(text) ? `"${text}"` : JSON.stringify(text));

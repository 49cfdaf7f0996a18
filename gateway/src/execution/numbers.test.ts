import { describe, expect, it } from '@jest/globals';
import { NumberText, parseJson, quote, writeJson } from './numbers.js';

describe('parseJson and writeJson', () => {
  it.each([
    '9007199254740993',
    '-9007199254740993',
    '1.10',
    '1.0',
    '0.1',
    '-0',
    '1e3',
    '1E+400',
    '3.141592653589793238462643',
    '{"a":[1.0,{"b":2.50}],"c":"1.0"}',
    '{"text":"a \\"quoted\\" 1.0, and \\\\","number":1.0}',
    '{"a":[],"b":{},"c":[[],[1.0]],"d":null,"e":true,"f":false,"g":""}',
    '{"__proto__":{"x":1.0}}',
  ])('%s is written as it was read', (text) => {
    expect(writeJson(parseJson(text))).toBe(text);
  });

  it('only numbers that would change are not plain numbers', () => {
    expect(parseJson(' { "a" : 1.50 , "b" : 1.5 , "c" : [ 12 , 12.0 ] } ')).toEqual({
      a: new NumberText('1.50'),
      b: 1.5,
      c: [12, new NumberText('12.0')],
    });
  });

  it('a text without such numbers is read like any JSON', () => {
    const text = '{"list":[1,2.5,-3],"text":"10, 16 digits: 1234567890123456"}';
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  it.each(['', '{', '{"a":1.0,}', '[1.0 2.0]', '1.', '01.0', 'NaN', '{"a":1.0}}'])(
    'a text that is not JSON is refused: %s',
    (text) => {
      expect(() => parseJson(text)).toThrow(SyntaxError);
    },
  );

  it('a name __proto__ is a member and changes no prototype', () => {
    const value = parseJson('{"__proto__":{"polluted":1.0}}') as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(['__proto__']);
  });
});

describe('quote', () => {
  it.each(['', 'plain', 'Amélie', 'a "b"', 'a\\b', 'line\nbreak', '\u0000', '\ud800', '😀', '\u2028'])(
    'writes %j as JSON does',
    (text) => {
      expect(quote(text)).toBe(JSON.stringify(text));
    },
  );
});

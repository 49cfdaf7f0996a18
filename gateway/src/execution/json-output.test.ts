import { describe, expect, it } from '@jest/globals';
import { JsonOutput } from './json-output.js';

describe('the output of JSON text', () => {
  const strings = {
    'an empty one': '',
    'plain text': 'The Matrix',
    'quotes and backslashes': 'a "b" \\c\\',
    'control characters': 'a\nb\u0000c\u001fd\u007f',
    'letters beyond ASCII': 'Amélie, 千と千尋の神隠し, 🎬',
    'a lone surrogate': 'a\ud83cb',
    'a long text': 'The Matrix '.repeat(1_000),
    'a long text with letters beyond ASCII': 'Amélie "🎬" '.repeat(1_000),
    'a text of the longest length that is not encoded by Node': 'x'.repeat(255) + 'é',
  };

  it.each(Object.entries(strings))('writes %s as JSON.stringify does', (_name, text) => {
    const output = new JsonOutput();
    output.writeString(text);
    output.write(`,${JSON.stringify(text)}`);
    expect(output.take().toString()).toBe(`${JSON.stringify(text)},${JSON.stringify(text)}`);
  });

  it('returns a long text as bytes, a short one as a string, and each of them whole', () => {
    const output = new JsonOutput();
    const sizes = [10, 16_384, 16_385, 65_537, 5_000_000, 3];
    const texts = sizes.map((size) => {
      for (let length = 0; length < size; length += 1) output.write(String(length % 10));
      return output.take();
    });
    expect(texts.map((text) => typeof text === 'string')).toEqual([true, true, false, false, false, true]);
    texts.forEach((text, index) => {
      const expected = '0123456789'.repeat(Math.ceil((sizes[index] ?? 0) / 10)).slice(0, sizes[index]);
      expect(text.toString() === expected).toBe(true);
    });
  });

  it('writes a part once more, and removes what was written last', () => {
    const output = new JsonOutput();
    output.write('[');
    const start = output.length;
    output.writeString('é');
    const end = output.length;
    output.write(',');
    output.repeat(start, end);
    const kept = output.length;
    output.write(',{"unfinished":');
    output.cut(kept);
    output.write(']');
    expect(output.take()).toBe('["é","é"]');
  });
});

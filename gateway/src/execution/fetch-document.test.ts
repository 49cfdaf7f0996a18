import { describe, expect, it } from '@jest/globals';
import { Kind, parse, parseValue, type OperationDefinitionNode } from 'graphql';
import { withClientValues, withName } from './fetch-document.js';

const fill = (text: string, values: Record<string, string>, client = '{a}') => {
  const [operation] = parse(client).definitions;
  const placeholders = new Map(Object.entries(values).map(([name, value]) => [name, parseValue(value)]));
  return withClientValues(text, parse(text), operation as OperationDefinitionNode, placeholders);
};

describe('the document of a fetch', () => {
  it.each([
    ['{a}', {}, '{a}'],
    ['query($p0:Int){a(b:$p0)}', { p0: '1' }, '{a(b:1)}'],
    ['query($p0:Int$p1:Int){a(b:[$p0$p1])}', { p0: '1', p1: '2' }, '{a(b:[1 2])}'],
    ['query($p0:Int$p1:E){a(b:$p0 c:$p1)}', { p0: '"x"', p1: 'FOO' }, '{a(b:"x" c:FOO)}'],
    ['query($p0:In){a(b:$p0)}', { p0: '{c: [1, {d: "$p0"}]}' }, '{a(b:{c:[1{d:"$p0"}]})}'],
    ['query($p0:Int){a(b:"$p0" c:$p0)}', { p0: '1' }, '{a(b:"$p0" c:1)}'],
    ['query($p0:Int){a(b:"\\"$p0" c:$p0)}', { p0: '1' }, '{a(b:"\\"$p0" c:1)}'],
    ['query($p0:Int){a(b:"""\\"""$p0""" c:$p0)}', { p0: '1' }, '{a(b:"""\\"""$p0""" c:1)}'],
    ['mutation($p0:Int){a(b:$p0)}', { p0: '1' }, 'mutation{a(b:1)}'],
    ['query($p0:Int$p00:Int){a(b:$p00)}', { p0: '1', p00: '2' }, '{a(b:2)}'],
    ['query($p0:Int){...F}fragment F on Query{a(b:$p0)}', { p0: '1' }, '{...F}fragment F on Query{a(b:1)}'],
  ])('%s has the literals of the client', (text, values, expected) => {
    expect(fill(text, values)).toEqual({ text: expected, variables: [] });
  });

  it('has the variables of the client with their definitions, beside those of the planner', () => {
    const text =
      'query($representations:[_Any!]!$p0:ID$p1:[Int!]){_entities(r:$representations){a(b:$p0 c:$p1)}}';
    const client = 'query($p1:[Int!]={a: [1, 2]},$representations:ID,$other:Int){a}';
    const filled = fill(text, { p0: '$representations', p1: '[$p1, 3]' }, client);
    expect(filled).toEqual({
      text: 'query($representations:[_Any!]!,$p1:[Int!]={a:[1 2]},$client_representations:ID){_entities(r:$representations){a(b:$client_representations c:[$p1 3])}}',
      variables: [
        { name: 'representations', prefix: '"client_representations":' },
        { name: 'p1', prefix: '"p1":' },
      ],
    });
    expect(parse(filled.text).definitions).toHaveLength(1);
  });

  it.each([
    ['{a}', 'query Q{a}'],
    ['query($b:Int){a}', 'query Q($b:Int){a}'],
    ['mutation{a}', 'mutation Q{a}'],
  ])('%s gets the name of the operation', (text, expected) => {
    expect(withName(text, 'Q')).toBe(expected);
    expect(withName(text, undefined)).toBe(text);
    const [operation] = parse(withName(text, 'Q')).definitions;
    expect(operation).toMatchObject({ kind: Kind.OPERATION_DEFINITION, name: { value: 'Q' } });
  });
});

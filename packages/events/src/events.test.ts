import { readdirSync, readFileSync } from 'node:fs';
import { createEnvelopeReader, isEnvelopeFault } from '@cinegraph/messaging/envelope';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { allEvents } from './all-events.js';
import { asyncApi } from './asyncapi.js';
import { decodeEvent } from './event.js';
import { camelCaseRating, snakeCaseRating } from './incoming.js';

const file = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url));
const readJson = (name: string): unknown => JSON.parse(file(name).toString());
const fixtures = readdirSync(new URL('../fixtures', import.meta.url));
const ajv = (options: object = {}) => {
  const checker = new Ajv({ strict: false, allErrors: true, validateFormats: false, ...options });
  return (schema: object | false) => checker.compile(schema);
};

describe('an event that was ever published', () => {
  it.each(fixtures)('every published version of an event still decodes: %s', (name) => {
    const read = createEnvelopeReader(undefined)({
      topic: 'any',
      value: file(`fixtures/${name}`),
      headers: {},
    });
    if (isEnvelopeFault(read)) throw new Error(read.reason);
    const event = decodeEvent(read, allEvents);
    expect(event).toMatchObject({ of: { type: read.type }, data: expect.anything() });
    expect(`${read.type}.v${read.version}.json`).toBe(name);
  });

  it('every version of an event has a fixture, and versions have no gap', () => {
    const expected = allEvents.flatMap(({ type, schemas }) =>
      Object.keys(schemas).map((version) => `${type}.v${version}.json`),
    );
    expect(fixtures.toSorted()).toEqual(expected.toSorted());
    for (const { version, schemas } of allEvents) {
      expect(Object.keys(schemas).map(Number)).toEqual(Array.from({ length: version }, (_, at) => at + 1));
    }
  });
});

describe('decodeEvent', () => {
  const changed = readJson('fixtures/MovieChanged.v1.json') as { data: object };
  it.each([
    ['a type that is not known', { type: 'MovieRenamed', version: 1, data: {} }, 'UNKNOWN_EVENT'],
    [
      'a version that is not known yet',
      { type: 'MovieChanged', version: 2, data: changed.data },
      'UNKNOWN_EVENT',
    ],
    ['data without a field', { type: 'MovieChanged', version: 1, data: { movieId: 'a' } }, 'INVALID_EVENT'],
    [
      'data of a wrong type',
      { type: 'MovieChanged', version: 1, data: { ...changed.data, version: '2' } },
      'INVALID_EVENT',
    ],
    ['no data', { type: 'MovieChanged', version: 1, data: undefined }, 'INVALID_EVENT'],
  ])('decodeEvent rejects %s', (_case, envelope, code) => {
    expect(decodeEvent(envelope, allEvents)).toMatchObject({ code });
  });

  it('decodeEvent accepts data with an unknown field', () => {
    expect(
      decodeEvent({ type: 'MovieChanged', version: 1, data: { ...changed.data, tagline: 'x' } }, allEvents),
    ).toMatchObject({ data: changed.data });
  });
});

describe('the AsyncAPI document', () => {
  it('asyncapi.json is generated from the schemas; npm run asyncapi -w packages/events writes it', () => {
    expect(readJson('asyncapi.json')).toEqual(JSON.parse(JSON.stringify(asyncApi())));
  });

  it('asyncapi.json is valid AsyncAPI 3.0', () => {
    const schema = JSON.parse(
      readFileSync(new URL(import.meta.resolve('@asyncapi/specs/schemas/3.0.0.json')), 'utf8'),
    ) as object;
    // The schema of AsyncAPI contains draft-07 under its own id.
    const check = ajv({ meta: false, validateSchema: false })(schema);
    expect([check(asyncApi()), check.errors]).toEqual([true, null]);
    expect(check({ ...asyncApi(), channels: { a: { address: 7 } } })).toBe(false);
  });

  it.each(fixtures)('asyncapi.json describes the published event %s', (name) => {
    const { components } = asyncApi();
    const message = (components.messages as Record<string, { payload: object }>)[name.replace('.json', '')];
    const check = ajv()(message?.payload ?? false);
    const event = readJson(`fixtures/${name}`) as { data: object };
    expect([check(event), check.errors]).toEqual([true, null]);
    const [id = ''] = Object.keys(event.data);
    expect(check({ ...event, data: { ...event.data, [id]: 7 } })).toBe(false);
  });

  it('the incoming schemas accept both external formats', () => {
    const put = {
      userId: 105,
      recordId: '1',
      recordType: 'movie',
      value: 5,
      providerId: 'test-provider',
      eventType: 'put',
    };
    const submit = { user_id: '105', record_id: 2, record_type: 'movie', value: 4, event_type: 'submit' };
    expect([camelCaseRating.safeParse(put).success, snakeCaseRating.safeParse(submit).success]).toEqual([
      true,
      true,
    ]);
    expect(camelCaseRating.safeParse({ ...put, recordType: 'series' }).success).toBe(false);
  });
});

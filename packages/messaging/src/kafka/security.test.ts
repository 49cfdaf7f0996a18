import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readBrokerAddress } from '../open-broker.js';

const folder = mkdtempSync(join(tmpdir(), 'cinegraph-security-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

/** Returns every reported problem by its variable. */
const problemsOf = (environment: NodeJS.ProcessEnv): Record<string, string> => {
  try {
    readBrokerAddress(environment);
    return {};
  } catch (error) {
    const problems = (error as Error).message.matchAll(/^ {2}(\w+): (.*)$/gm);
    return Object.fromEntries([...problems].map(([, name, problem]) => [name, problem] as [string, string]));
  }
};

const remote = { KAFKA_BROKERS: 'b-1.example.org:9096,127.0.0.1:9092' };
const user = { KAFKA_USERNAME: 'u', KAFKA_PASSWORD: 'secret-word' };

describe('the variables of Kafka security', () => {
  it('the variables of TLS and SASL become part of the address', () => {
    expect(readBrokerAddress({ ...remote, KAFKA_TLS: '', KAFKA_USERNAME: '' })).toEqual({
      kafka: ['b-1.example.org:9096', '127.0.0.1:9092'],
    });
    expect(readBrokerAddress({ ...remote, ...user, KAFKA_TLS: 'true' })).toMatchObject({
      tls: { ca: undefined },
      sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'secret-word' },
    });
    const plain = { ...user, KAFKA_SASL_MECHANISM: 'plain' };
    expect(readBrokerAddress({ KAFKA_BROKERS: 'localhost:1,[::1]:2,127.1.2.3:4', ...plain })).toMatchObject({
      sasl: { mechanism: 'plain' },
    });
  });

  it('the variables of TLS and SASL are ignored if KAFKA_BROKERS is not set', () => {
    const url = 'postgresql://u@h/events';
    expect(
      readBrokerAddress({ DATABASE_URL_EVENTS: url, KAFKA_TLS: '/nowhere', KAFKA_PASSWORD: 'p' }),
    ).toEqual({
      url,
    });
  });

  it.each([
    ['a user name without a password', { KAFKA_USERNAME: 'u' }, { KAFKA_PASSWORD: /KAFKA_USERNAME is/ }],
    [
      'a password without a user name',
      { KAFKA_PASSWORD: 'secret-word' },
      { KAFKA_USERNAME: /KAFKA_PASSWORD is/ },
    ],
    [
      'a mechanism without a user name',
      { KAFKA_SASL_MECHANISM: 'plain' },
      { KAFKA_USERNAME: /KAFKA_SASL_MECHANISM is/ },
    ],
    [
      'an unknown mechanism',
      { ...user, KAFKA_SASL_MECHANISM: 'SCRAM' },
      { KAFKA_SASL_MECHANISM: /plain, scram-sha-256, scram-sha-512/ },
    ],
    ['a file that does not exist', { KAFKA_TLS: join(folder, 'none.pem') }, { KAFKA_TLS: /ENOENT/ }],
    [
      'a file without a certificate',
      { KAFKA_TLS: file('key.pem', 'secret-word') },
      { KAFKA_TLS: /no certificate/ },
    ],
    [
      'a file with a malformed certificate',
      {
        KAFKA_TLS: file(
          'broken.pem',
          '-----BEGIN CERTIFICATE-----\nsecret+word\n-----END CERTIFICATE-----\n',
        ),
      },
      { KAFKA_TLS: /cannot be used/ },
    ],
  ])('%s is reported by its variable, without secrets', (_what, variables, problems) => {
    const reported = problemsOf({ KAFKA_TLS: 'true', ...remote, ...variables });
    expect(reported).toEqual(
      Object.fromEntries(
        Object.entries(problems).map(([name, problem]) => [name, expect.stringMatching(problem)]),
      ),
    );
    expect(JSON.stringify(reported)).not.toMatch(/secret.word/);
  });

  it('a password without TLS is refused for another machine, even if its name looks like a loopback address', () => {
    for (const KAFKA_BROKERS of [
      remote.KAFKA_BROKERS,
      '127.0.0.1.example.org:9092',
      'localhost.example.org:1',
    ]) {
      expect(problemsOf({ KAFKA_BROKERS, ...user })).toEqual({
        KAFKA_TLS: expect.stringMatching(/is never sent in clear/),
      });
    }
  });

  it('all problems are reported together', () => {
    const wrong = {
      ...remote,
      KAFKA_PASSWORD: 'secret-word',
      KAFKA_SASL_MECHANISM: 'x',
      KAFKA_TLS: '/nowhere',
    };
    expect(Object.keys(problemsOf(wrong)).sort()).toEqual([
      'KAFKA_SASL_MECHANISM',
      'KAFKA_TLS',
      'KAFKA_USERNAME',
    ]);
  });
});

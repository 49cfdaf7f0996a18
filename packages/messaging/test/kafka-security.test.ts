import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { startTestKafka } from '@cinegraph/testing/kafka';
import { addScramUser, makeCertificates, secureListener } from '@cinegraph/testing/kafka-security';
import { until } from '@cinegraph/testing/until';
import { BrokerRefused, type Broker, type IncomingMessage } from '../src/broker.js';
import type { TopicDefinition } from '../src/envelope.js';
import { openBroker, readBrokerAddress, type BrokerAddress } from '../src/open-broker.js';
import { describeKafka } from './support/kafka-bench.js';

describeKafka('a Kafka with TLS and SASL', () => {
  const password = `pass,=word-${randomUUID()}`;
  let kafka: KafkaServer;
  let folder: string;
  let variables: Record<string, string>;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cinegraph-security-'));
    const [certificates, others] = await Promise.all([makeCertificates(), makeCertificates()]);
    await writeFile(join(folder, 'ca.pem'), certificates.ca);
    await writeFile(join(folder, 'other.pem'), others.ca);
    kafka = await startTestKafka({ secure: secureListener(certificates, { plain: password }) });
    await addScramUser(kafka.port, 'scram', password);
    variables = {
      KAFKA_BROKERS: kafka.secureBrokers.join(','),
      KAFKA_TLS: join(folder, 'ca.pem'),
      KAFKA_USERNAME: 'scram',
      KAFKA_PASSWORD: password,
    };
  }, 120_000);
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  afterAll(async () => {
    await kafka.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens a broker at this address, and records what it logs. */
  const open = async (address: BrokerAddress) => {
    const lines: string[] = [];
    const logger = pino({ level: 'debug' }, { write: (line) => void lines.push(line) });
    const topic: TopicDefinition = { name: `secure.${randomUUID()}.v1`, retention: 'time' };
    const broker = await openBroker({ clientId: 'secure', topics: [topic], logger }, address);
    await broker.part.start();
    stops.push(broker.part.stop);
    const warned = (level = 40) =>
      lines.filter((line) => (JSON.parse(line) as { level: number }).level >= level);
    return { broker, topic: topic.name, lines, warned };
  };
  const openWith = (changed: Record<string, string>) => open(readBrokerAddress({ ...variables, ...changed }));

  const publish = (broker: Broker, topic: string) =>
    broker.publish([{ topic, key: 'k', value: Buffer.from('secret event'), headers: {} }]);

  const consume = async (broker: Broker, topic: string) => {
    const messages: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => void messages.push(...batch);
    const part = broker.subscribe({ group: `secure.${randomUUID()}`, topics: [topic], onBatch });
    await part.start();
    stops.push(part.stop);
    return messages;
  };

  test.each([
    ['scram-sha-512, the default', {}],
    ['plain', { KAFKA_SASL_MECHANISM: 'plain', KAFKA_USERNAME: 'plain' }],
  ])('messages are published and consumed over TLS with the mechanism %s', async (_mechanism, changed) => {
    const { broker, topic, warned } = await openWith(changed);
    const messages = await consume(broker, topic);
    await publish(broker, topic);
    await until(() => messages.length > 0, 'the message is delivered');
    expect(messages.map(({ value }) => String(value))).toEqual(['secret event']);
    expect(broker.answers()).toBe(true);
    // A Kafka that has just started causes warnings that need no action.
    expect(warned(50)).toEqual([]);
  });

  test.each([
    ['a wrong password', { KAFKA_PASSWORD: 'wrong-word' }, /check KAFKA_USERNAME, KAFKA_PASSWORD/],
    [
      'a mechanism that Kafka does not offer',
      { KAFKA_SASL_MECHANISM: 'scram-sha-256' },
      /KAFKA_SASL_MECHANISM to one/,
    ],
    ['an untrusted CA', { KAFKA_TLS: 'other.pem' }, /KAFKA_TLS to the path of the PEM file/],
    [
      'a host name that is not in the certificate',
      { KAFKA_BROKERS: 'localhost' },
      /name its brokers in KAFKA_BROKERS/,
    ],
    ['a listener without SASL', { KAFKA_BROKERS: 'plaintext', KAFKA_TLS: '' }, /unset KAFKA_USERNAME/],
  ])(
    'the refusal of %s is logged once, with what to change and without the password',
    async (_what, changed, sentence) => {
      const { KAFKA_BROKERS, KAFKA_TLS } = changed as Record<string, string>;
      const { broker, topic, lines, warned } = await openWith({
        ...changed,
        ...(KAFKA_BROKERS === 'localhost' && {
          KAFKA_BROKERS: variables['KAFKA_BROKERS']!.replace('127.0.0.1', 'localhost'),
        }),
        ...(KAFKA_BROKERS === 'plaintext' && { KAFKA_BROKERS: kafka.brokers.join(',') }),
        ...(KAFKA_TLS === 'other.pem' && { KAFKA_TLS: join(folder, KAFKA_TLS) }),
      });
      await consume(broker, topic);
      const refused = publish(broker, topic);
      await expect(refused).rejects.toThrow(sentence);
      await expect(refused).rejects.toBeInstanceOf(BrokerRefused);
      await until(
        () => lines.some((line) => line.includes('a consumer session ended')),
        'the consumer has failed once',
      );
      expect(broker.answers()).toBe(false);
      expect(warned()).toHaveLength(1);
      expect(warned()[0]).toMatch(sentence);
      expect(lines.join('')).not.toMatch(/wrong-|pass,=word/);
    },
  );

  test('no password is sent in clear to a broker on another machine, even if a local broker advertises it', async () => {
    const sasl = { mechanism: 'plain', username: 'plain', password } as const;
    // The brokers in KAFKA_BROKERS may be on the loopback address, but their advertised.listeners elsewhere.
    const { broker, topic, warned } = await open({ kafka: ['kafka.example.org:9092'], sasl });
    await expect(publish(broker, topic)).rejects.toThrow(/in clear: set KAFKA_TLS/);
    expect(warned()).toHaveLength(1);
  });
});

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { BrokerRefused, type Broker, type IncomingMessage } from '../src/broker.js';
import type { TopicDefinition } from '../src/envelope.js';
import type { KafkaServer } from '@cinegraph/local/kafka/server';
import { openBroker, readBrokerAddress, type BrokerAddress } from '../src/open-broker.js';
import { kafkaMissing, startTestKafka } from '@cinegraph/testing/kafka';
import { addScramUser, makeCertificates, secureListener } from '@cinegraph/testing/kafka-security';
import { pino } from 'pino';

const suite = kafkaMissing() === undefined ? describe : describe.skip;

suite('a Kafka with TLS and passwords', () => {
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

  /** A broker on that address, and all that it logs. */
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
    broker.publish([{ topic, key: 'k', value: Buffer.from('told'), headers: {} }]);

  const consume = async (broker: Broker, topic: string) => {
    const messages: IncomingMessage[] = [];
    const onBatch = async (batch: readonly IncomingMessage[]) => void messages.push(...batch);
    const part = broker.subscribe({ group: `secure.${randomUUID()}`, topics: [topic], onBatch });
    await part.start();
    stops.push(part.stop);
    return messages;
  };

  test.each([
    ['scram-sha-512 unless told', {}],
    ['plain', { KAFKA_SASL_MECHANISM: 'plain', KAFKA_USERNAME: 'plain' }],
  ])('is published to and consumed from over TLS, with %s', async (_mechanism, changed) => {
    const { broker, topic, warned } = await openWith(changed);
    const messages = await consume(broker, topic);
    await publish(broker, topic);
    await until(() => messages.length > 0, 'it came');
    expect(messages.map(({ value }) => String(value))).toEqual(['told']);
    expect(broker.answers()).toBe(true);
    // A broker that has only just started warns of what passes by itself.
    expect(warned(50)).toEqual([]);
  });

  test.each([
    ['a wrong password', { KAFKA_PASSWORD: 'wrong-word' }, /check KAFKA_USERNAME, KAFKA_PASSWORD/],
    [
      'a mechanism that it does not have',
      { KAFKA_SASL_MECHANISM: 'scram-sha-256' },
      /KAFKA_SASL_MECHANISM to one/,
    ],
    ['the CA of another', { KAFKA_TLS: 'other.pem' }, /KAFKA_TLS to the path of the PEM file/],
    [
      'a name that its certificate is not for',
      { KAFKA_BROKERS: 'localhost' },
      /name its brokers in KAFKA_BROKERS/,
    ],
    [
      'a listener that wants no password',
      { KAFKA_BROKERS: 'plaintext', KAFKA_TLS: '' },
      /unset KAFKA_USERNAME/,
    ],
  ])('is told of %s: what to do is said once, and no password', async (_what, changed, sentence) => {
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
      'the consumer has tried',
    );
    expect(broker.answers()).toBe(false);
    expect(warned()).toHaveLength(1);
    expect(warned()[0]).toMatch(sentence);
    expect(lines.join('')).not.toMatch(/wrong-|pass,=word/);
  });

  test('hears no password in clear, though one of this machine tells of it', async () => {
    const sasl = { mechanism: 'plain', username: 'plain', password } as const;
    // As it is when brokers that were named are on the loopback address and their advertised.listeners are not.
    const { broker, topic, warned } = await open({ kafka: ['kafka.example.org:9092'], sasl });
    await expect(publish(broker, topic)).rejects.toThrow(/in clear: set KAFKA_TLS/);
    expect(warned()).toHaveLength(1);
  });
});

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  removeEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '@cinegraph/local/postgres/embedded';
import { testPool } from '@cinegraph/testing/database';
import { until } from '@cinegraph/testing/until';
import type { Broker, RecordPosition } from '../../src/broker.js';
import { message, openClients } from './support.js';

describe('the PostgreSQL broker while its server restarts', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  let url: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'events-'));
    await chmod(directory, 0o711);
    server = await startEmbeddedPostgres({ directory });
    url = await server.ensureDatabase('events');
  });
  afterAll(async () => {
    await removeEmbeddedPostgres(directory);
    await rm(directory, { recursive: true, force: true });
  });
  const { connect, consume } = openClients();

  const kill = async () => {
    process.kill(server.pid, 'SIGKILL');
    await server.died;
  };
  const startAgain = async () => {
    server = await startEmbeddedPostgres({ directory, port: server.port });
  };
  /** Publishes until it succeeds; returns the position of the message. */
  const publishAtLast = async (broker: Broker, text: string) => {
    let positions: readonly RecordPosition[] = [];
    await until(async () => {
      positions = await broker.publish([message(text)]).catch(() => []);
      return positions.length > 0;
    }, `the message ${text} is published`);
    return positions[0]!;
  };

  it('the broker continues by itself after its server was killed, with every published message', async () => {
    const broker = await connect(url);
    const { texts } = await consume(broker, 'test.restart');
    await broker.publish([message('1')]);
    await until(() => texts.includes('1'), 'the first message came');
    await kill();
    await expect(broker.publish([message('never')])).rejects.toThrow();
    expect(broker.answers()).toBe(false);
    await startAgain();
    await publishAtLast(broker, '2');
    await until(() => texts.includes('2'), 'the second message came');
    expect(broker.answers()).toBe(true);
    expect(texts.filter((text) => text === 'never')).toEqual([]);
  });

  it('a broker and its consumers start and stop while the server is down, and consume once it is up', async () => {
    await kill();
    const broker = await connect(url);
    const { stop } = await consume(broker, 'test.stopped');
    await stop();
    const { texts } = await consume(broker, 'test.waiting');
    const stopped = await connect(url);
    await stopped.part.stop();
    await startAgain();
    await until(() => texts.includes('2'), 'the published message came');
  });

  it('the broker creates its tables when the database was dropped and created again, and groups start over', async () => {
    const broker = await connect(url);
    const { texts } = await consume(broker, 'test.created-again');
    await until(() => texts.includes('2'), 'the published message came');
    const admin = testPool(server.superuserUrl);
    await admin.query('DROP DATABASE events WITH (FORCE)');
    await admin.end();
    await server.ensureDatabase('events');
    expect(await publishAtLast(broker, 'again')).toEqual({ partition: expect.any(Number), offset: 0n });
    await until(() => texts.includes('again'), 'the group has read the first message');
  });
});

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TopicDefinition } from '@cinegraph/messaging/envelope';
import { openKafkaBroker } from '@cinegraph/messaging/kafka/broker';
import { removeKafkaServer } from '@cinegraph/local/kafka/server';
import { kafkaMissing } from '@cinegraph/testing/kafka';
import { silentLogger } from '@cinegraph/testing/silent-logger';

const main = new URL('../dist/main.js', import.meta.url).href;
const suite = kafkaMissing() === undefined ? describe : describe.skip;

suite('npm run kafka', () => {
  let data: string;
  let child: ChildProcess | undefined;

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'kafka-cli-'));
  });
  afterEach(() => void child?.kill('SIGKILL'));
  afterAll(async () => {
    await removeKafkaServer(join(data, 'kafka'));
    await rm(data, { recursive: true, force: true });
  });

  /** Runs the command as start.mjs does; resolves when it prints the brokers, or has ended. */
  const run = async (...args: readonly string[]) => {
    const script = `
      import { perform } from ${JSON.stringify(main)};
      const stop = new AbortController();
      process.on('SIGINT', () => stop.abort());
      process.exitCode = await perform('kafka', ${JSON.stringify([...args, '--data', data])}, stop.signal).catch(
        (error) => (process.stdout.write(error.message), error.exitCode),
      );
    `;
    const started = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    const said: string[] = [];
    const exit = new Promise<number | null>((resolve) => started.once('close', resolve));
    const brokers = await new Promise<string | undefined>((resolve) => {
      started.stdout.on('data', (chunk: Buffer) => {
        said.push(String(chunk));
        const found = /KAFKA_BROKERS=(\S+)/u.exec(said.join(''))?.[1];
        if (found !== undefined) resolve(found);
      });
      void exit.then(() => resolve(undefined));
    });
    return { child: started, brokers, exit, said: () => said.join('') };
  };

  const topic: TopicDefinition = { name: 'cli.test.v1', retention: 'time' };
  const connect = (brokers: string) =>
    openKafkaBroker({
      ...{ clientId: 'cli', topics: [topic], brokers: brokers.split(',') },
      logger: silentLogger,
    });
  const countOf = async (brokers: string) => {
    const broker = connect(brokers);
    const ends = (await broker.endOffsets([topic.name])).get(topic.name) ?? [];
    await broker.part.stop();
    return ends.reduce((sum, { offset }) => sum + Number(offset), 0);
  };

  it('npm run kafka keeps its data through a SIGKILL, starts again, ends with 0, and --reset removes the data', async () => {
    const first = await run('--port', '0');
    const broker = connect(String(first.brokers));
    await broker.publish([{ topic: topic.name, key: null, value: Buffer.from('kept'), headers: {} }]);
    await broker.part.stop();

    const beside = await run('--port', '0');
    expect(await beside.exit).toBe(1);
    expect(beside.said()).toContain('is in use');

    first.child.kill('SIGKILL');
    await first.exit;
    const second = await run('--port', '0');
    expect(await countOf(String(second.brokers))).toBe(1);
    second.child.kill('SIGINT');
    expect(await second.exit).toBe(0);
    expect(second.said()).toMatch(/stopped\n$/u);

    const third = await run('--port', '0', '--reset');
    expect(await countOf(String(third.brokers))).toBe(0);
    third.child.kill('SIGINT');
    expect(await third.exit).toBe(0);
  });

  it('npm run kafka says in one sentence what is wrong with its options', async () => {
    const wrong = await run('--port', 'many');
    expect(await wrong.exit).toBe(2);
    expect(wrong.said()).toContain('--port must be a number from 0 to 65535');
  });
});

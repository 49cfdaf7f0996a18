import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OutgoingMessage, RecordPosition } from '@cinegraph/messaging/broker';
import { StartError } from '@cinegraph/service/start-error';
import { openSource } from '@cinegraph/subgraph/import/source';
import { produceSource } from '../src/command-line/produce.js';
import { externalEvent } from './messages.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'produce-'));
});
afterEach(() => rm(folder, { recursive: true }));

/**
 * A broker that keeps what it gets; `fails` is called with the number of each publication, after the append.
 */
const recorder = (fails: (publication: number) => void = () => undefined) => {
  const sent: OutgoingMessage[] = [];
  let publications = 0;
  return {
    sent,
    sizes: [] as number[],
    async publish(messages: readonly OutgoingMessage[]): Promise<readonly RecordPosition[]> {
      const positions = messages.map((_message, at) => ({ partition: 0, offset: BigInt(sent.length + at) }));
      sent.push(...messages);
      this.sizes.push(messages.length);
      fails((publications += 1));
      return positions;
    },
  };
};

const send = async (path: string, broker: ReturnType<typeof recorder>, rate?: number) => {
  const refused: string[] = [];
  const result = await produceSource(
    {
      broker,
      folder,
      progress: { update: () => undefined, stop: () => undefined },
      onRefused: (record, reason) => refused.push(`${record}: ${reason}`),
    },
    await openSource(path),
    { idPrefix: 'vega:', rate },
  );
  return { ...result, refused };
};

const file = async (name: string, content: string) => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

describe('produce', () => {
  it.each([
    [
      'a JSON array',
      'a.json',
      JSON.stringify([externalEvent(105, '1', 5), externalEvent(105, 'imdb:tt2', null)]),
    ],
    [
      'JSON lines',
      'a.jsonl',
      `${JSON.stringify(externalEvent(105, '1', 5))}\n${JSON.stringify(externalEvent(105, 'imdb:tt2', null))}\n`,
    ],
    [
      'CSV of the other dialect',
      'a.csv',
      'user_id,record_id,record_type,value,event_type\n105,1,movie,5,submit\n105,imdb:tt2,movie,,delete\n',
    ],
  ])('produce sends %s to the topic, keyed by movie', async (_what, name, content) => {
    const broker = recorder();
    const { sent, partitions } = await send(await file(name, content), broker);
    expect(sent).toBe(2);
    expect(broker.sent.map(({ topic, key }) => [topic, key])).toEqual([
      ['ratings', 'vega:1'],
      ['ratings', 'imdb:tt2'],
    ]);
    const [first] = broker.sent.map(({ value }) => JSON.parse(String(value)) as Record<string, unknown>);
    expect([first?.['userId'] ?? first?.['user_id'], first?.['value']].map(String)).toEqual(['105', '5']);
    expect([...partitions]).toEqual([[0, { first: 0n, last: 1n, count: 2 }]]);
  });

  it('produce reports the lines that no ingest would accept, and sends the others', async () => {
    const lines = [
      JSON.stringify(externalEvent(1, 'm', 4.5)),
      '{"cut":',
      JSON.stringify(externalEvent(1, 'm', 11)),
      JSON.stringify({ ...externalEvent(1, 'm', 1), recordType: 'series' }),
      JSON.stringify(externalEvent(1, 'm', 10)),
    ];
    const broker = recorder();
    const { sent, refused } = await send(await file('a.jsonl', lines.join('\n')), broker);
    expect(sent).toBe(2);
    expect(refused).toEqual([
      'line 2: it is not JSON',
      expect.stringContaining('line 3: RATING_OUT_OF_RANGE'),
      'line 4: UNSUPPORTED_RECORD_TYPE: recordType must be "movie"',
    ]);
  });

  it('produce continues where a killed run stopped: at most one batch is sent twice, and none is lost', async () => {
    const path = await file(
      'a.jsonl',
      Array.from({ length: 4_500 }, (_, n) => JSON.stringify(externalEvent(n, 'm', 5))).join('\n'),
    );
    const killed = recorder((publication) => {
      if (publication === 3) throw new Error('killed after the append, before the progress was kept');
    });
    await expect(send(path, killed)).rejects.toThrow('killed');
    const second = recorder();
    expect(await send(path, second)).toMatchObject({ skipped: 2_000, sent: 2_500, refused: [] });
    const users = [...killed.sent, ...second.sent].map(
      ({ value }) => (JSON.parse(String(value)) as { userId: number }).userId,
    );
    expect(users.length - new Set(users).size).toBe(1_000);
    expect(new Set(users).size).toBe(4_500);
    expect((await readdir(folder)).filter((name) => name.startsWith('produce-'))).toEqual([]);
    // The file was sent completely, so another run sends it again.
    expect(await send(path, recorder())).toMatchObject({ skipped: 0, sent: 4_500 });
  });

  it('produce starts at the beginning if the file has changed', async () => {
    const lines = (n: number) =>
      Array.from({ length: n }, (_, at) => JSON.stringify(externalEvent(at, 'm', 5))).join('\n');
    const path = await file('a.jsonl', lines(2_500));
    const killed = recorder((publication) => {
      if (publication === 2) throw new Error('killed');
    });
    await expect(send(path, killed)).rejects.toThrow('killed');
    await file('a.jsonl', lines(2_600));
    expect(await send(path, recorder())).toMatchObject({ skipped: 0, sent: 2_600 });
  });

  it.each(['', '{"identity":"a', '{"identity":"a","records":-1}'])(
    'produce sends nothing if the kept progress has become %p, and says which file to remove',
    async (content) => {
      const path = await file(
        'a.jsonl',
        Array.from({ length: 2_500 }, (_, n) => JSON.stringify(externalEvent(n, 'm', 5))).join('\n'),
      );
      const killed = recorder((publication) => {
        if (publication === 2) throw new Error('killed');
      });
      await expect(send(path, killed)).rejects.toThrow('killed');
      const position = (await readdir(folder)).find((name) => /^produce-\w+\.json$/.test(name)) ?? '';
      await file(position, content);
      const second = recorder();
      await expect(send(path, second)).rejects.toThrow(StartError);
      await expect(send(path, second)).rejects.toThrow(
        `${join(folder, position)}, which cannot be read. Remove that file`,
      );
      expect(second.sent).toEqual([]);
      await rm(join(folder, position));
      expect(await send(path, second)).toMatchObject({ skipped: 0, sent: 2_500 });
    },
  );

  it('produce keeps to a rate by sending small batches', async () => {
    const path = await file(
      'a.jsonl',
      Array.from({ length: 50 }, (_, n) => JSON.stringify(externalEvent(n, 'm', 5))).join('\n'),
    );
    const broker = recorder();
    const begun = performance.now();
    await send(path, broker, 100);
    expect(broker.sizes).toEqual([10, 10, 10, 10, 10]);
    // Never faster than requested: the last ten may go 0.4 s after the start, when forty have been sent.
    expect(performance.now() - begun).toBeGreaterThanOrEqual(390);
  });
});

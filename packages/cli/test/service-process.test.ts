import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startService, type ServiceProcess } from '../src/service-process.js';

jest.setTimeout(30_000);

describe('a service process', () => {
  let folder: string;
  let service: ServiceProcess | undefined;
  let printed: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'service-'));
    printed = '';
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await service?.stop();
    service = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (
    script: string,
    onGivenUp: (error: Error) => void = () => undefined,
    readyWithinMs?: number,
  ) => {
    const main = join(folder, 'main.mjs');
    await writeFile(main, script);
    const signal = new AbortController().signal;
    service = await startService({
      ...{ name: 'rating', main, env: process.env, port: 0, onGivenUp, signal },
      ...(readyWithinMs !== undefined && { readyWithinMs }),
    });
    return service;
  };

  /** Says that it is ready on the port that it was given, or on 4001 where it may choose. */
  const ready = `process.send({ type: 'ready', url: 'http://127.0.0.1:' + (Number(process.env.PORT) || 4001) });`;

  const seen = async (text: string) => {
    while (!printed.includes(text)) await new Promise((resolve) => setImmediate(resolve));
  };

  it('that cannot start is not tried again: its own words are the reason', async () => {
    const script = `console.error('DATABASE_URL_RATING: is not set, but needed'); process.exit(1);`;
    await expect(start(script)).rejects.toThrow(
      'rating could not start: DATABASE_URL_RATING: is not set, but needed',
    );
  });

  it('that keeps dying is started again on its port with growing pauses, then given up with its reason', async () => {
    const givenUp = new Promise<Error>((resolve) => {
      void start(
        `${ready} console.log('port ' + process.env.PORT); console.error('out of luck'); setTimeout(() => process.exit(3), 20);`,
        resolve,
      );
    });
    expect((await givenUp).message).toBe('rating keeps dying (5 times within a minute): out of luck');
    expect([...printed.matchAll(/port (\d+)/g)].map(([, port]) => port)).toEqual([
      '0',
      ...Array.from({ length: 4 }, () => '4001'),
    ]);
    expect([...printed.matchAll(/starting it again in (\S+) s/g)].map(([, pause]) => pause)).toEqual([
      '0.25',
      '0.5',
      '1',
      '2',
    ]);
  });

  it('that is started again and never gets ready is ended, and has died', async () => {
    const script = `if (process.env.PORT === '0') { ${ready} setTimeout(() => process.exit(3), 20); }
      else setInterval(() => undefined, 1000);`;
    await start(script, undefined, 3_000);
    await seen('rating died (did not get ready within 3 s); starting it again in 0.5 s');
  });

  it('that stops is given the time that it said it needs, and little more', async () => {
    const slow = await start(
      `process.on('SIGTERM', () => console.log('draining')); setInterval(() => undefined, 1000);
       process.send({ type: 'ready', url: 'http://127.0.0.1:4001', drainMs: 40_000 });`,
    );
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    try {
      const stopped = slow.stop();
      await seen('draining');
      jest.advanceTimersByTime(41_999);
      // Only the end by force is still waited for.
      expect(jest.getTimerCount()).toBe(1);
      jest.advanceTimersByTime(1);
      await stopped;
    } finally {
      jest.useRealTimers();
    }
  });

  it('is shown by short lines in which nothing from outside can steer the terminal', async () => {
    await start(
      `console.log(JSON.stringify({ level: 'warn', name: 'rating', msg: 'odd title \\u001b[31m', err: { message: 'too long' } }));
       ${ready} setInterval(() => undefined, 1000);`,
    );
    expect(printed).toContain('rating    WARN  odd title \\u{1b}[31m: too long\n');
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startService, type ServiceProcess } from '../src/start/service-process.js';

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

  /** Reports that it is ready on its port, or on 4001 if it may choose. */
  const ready = `process.send({ type: 'ready', url: 'http://127.0.0.1:' + (Number(process.env.PORT) || 4001) });`;

  const seen = async (text: string) => {
    while (!printed.includes(text)) await new Promise((resolve) => setImmediate(resolve));
  };

  const seenTimes = async (pattern: RegExp, times: number) => {
    for (;;) {
      const found = [...printed.matchAll(pattern)];
      if (found.length >= times) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('a service that cannot start is not started again, and its output is the reason', async () => {
    const script = `console.error('DATABASE_URL_RATING: is not set, but needed'); process.exit(1);`;
    await expect(start(script)).rejects.toThrow(
      'rating could not start: DATABASE_URL_RATING: is not set, but needed',
    );
  });

  it('a service that does not become ready five times in a row is given up with its reason, after growing delays', async () => {
    const givenUp = new Promise<Error>((resolve) => {
      void start(
        `if (process.env.PORT === '0') { ${ready} }
         console.log('port ' + process.env.PORT); console.error('out of luck'); setTimeout(() => process.exit(3), 20);`,
        resolve,
      );
    });
    expect((await givenUp).message).toBe('rating did not become ready 5 times in a row: out of luck');
    expect([...printed.matchAll(/port (\d+)/g)].map(([, port]) => port)).toEqual([
      '0',
      ...Array.from({ length: 5 }, () => '4001'),
    ]);
    const delays = [...printed.matchAll(/starting it again in (\S+) s/g)].map(([, delay]) => Number(delay));
    expect(delays).toHaveLength(5);
    for (const [at, longest] of [0.25, 0.5, 1, 2, 4].entries()) {
      expect(delays[at]).toBeGreaterThanOrEqual(longest / 2 - 0.01);
      expect(delays[at]).toBeLessThanOrEqual(longest);
    }
  });

  it('a service that is killed six times within a minute, and ready after each restart, is not given up', async () => {
    const givenUp: Error[] = [];
    await start(`${ready} console.log('pid ' + process.pid); setInterval(() => undefined, 1000);`, (error) =>
      givenUp.push(error),
    );
    for (let kill = 1; kill <= 6; kill += 1) {
      const pids = await seenTimes(/pid (\d+)\n/g, kill);
      process.kill(Number(pids.at(-1)?.[1]), 'SIGKILL');
      await seenTimes(/rating is back/g, kill);
    }
    expect(givenUp).toEqual([]);
  });

  it('a service that is restarted on request keeps its port, and one that then cannot start waits for the next request', async () => {
    const runs = `${ready} console.log('port ' + process.env.PORT); setInterval(() => undefined, 1000);`;
    const service = await start(runs);
    await service.restart();
    await seen('port 4001');
    await writeFile(join(folder, 'main.mjs'), `console.error('a wrong change'); process.exit(1);`);
    await expect(service.restart()).rejects.toThrow('rating could not start: a wrong change');
    await writeFile(join(folder, 'main.mjs'), runs);
    await service.restart();
    expect(printed).not.toContain('starting it again');
  });

  it('a service that does not become ready after a restart is killed, which counts as a death', async () => {
    const script = `if (process.env.PORT === '0') { ${ready} setTimeout(() => process.exit(3), 20); }
      else setInterval(() => undefined, 1000);`;
    await start(script, undefined, 3_000);
    await seen('rating died (did not become ready within 3 s); starting it again in ');
  });

  it('a service that stops gets the time that it reported, and little more', async () => {
    const slow = await start(
      `process.on('SIGTERM', () => console.log('draining')); setInterval(() => undefined, 1000);
       process.send({ type: 'ready', url: 'http://127.0.0.1:4001', drainMs: 40_000 });`,
    );
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    try {
      const stopped = slow.stop();
      await seen('draining');
      jest.advanceTimersByTime(41_999);
      // Only the timer of SIGKILL is left.
      expect(jest.getTimerCount()).toBe(1);
      jest.advanceTimersByTime(1);
      await stopped;
    } finally {
      jest.useRealTimers();
    }
  });

  it('the log lines of a service are shown without control characters of a terminal', async () => {
    await start(
      `console.log(JSON.stringify({ level: 'warn', name: 'rating', msg: 'odd title \\u001b[31m', err: { message: 'too long' } }));
       ${ready} setInterval(() => undefined, 1000);`,
    );
    expect(printed).toContain('rating    WARN  odd title \\u{1b}[31m: too long\n');
  });
});

import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QueryPlan } from '@apollo/query-planner';
import { afterEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { GraphQLError } from 'graphql';
import { pino } from 'pino';
import { createPlanner, type Planner } from '../src/planning/planner.js';
import { warmUp } from '../src/planning/warm-up.js';
import {
  composeSupergraph,
  doublingFragments,
  fiveSubgraphs,
  honestShopOperation,
  nestedFields,
  threeShareableSubgraphs,
} from './support/planning.js';

const five = fiveSubgraphs();
const three = threeShareableSubgraphs();
const planners: Planner[] = [];
const log: { level: number; msg: string }[] = [];
const logger = pino(
  { level: 'debug' },
  { write: (line: string) => void log.push(JSON.parse(line) as (typeof log)[number]) },
);
const logged = (message: string): number => log.filter(({ msg }) => msg === message).length;

const start = async (options: Partial<Parameters<typeof createPlanner>[0]>): Promise<Planner> => {
  const planner = await createPlanner({ sdl: '', logger, ...options });
  planners.push(planner);
  return planner;
};

afterEach(async () => {
  await Promise.all(planners.splice(0).map((planner) => planner.stop()));
  log.length = 0;
});

/** Threads have priorities of their own on Linux only. */
const onLinux = process.platform === 'linux' ? it : it.skip;

/** Returns true if this process has a thread of a priority, as `nice` counts. */
const hasThreadOfPriority = (priority: number): boolean =>
  readdirSync('/proc/self/task').some((id) => {
    try {
      return getPriority(Number(id)) === priority;
    } catch {
      return false; // It has ended.
    }
  });

const fetchesOf = (plan: QueryPlan): number => JSON.stringify(plan).split('"kind":"Fetch"').length - 1;

const tooComplex = { extensions: { code: 'OPERATION_TOO_COMPLEX', http: { status: 400 } } };

/**
 * The URL of a worker whose plan is `{ planned, heapMiB, promptMs, operation }`: how many operations this
 * thread was asked for, its heap limit, its `promptMs`, and the text. `onStart` runs first, and `onOperation`
 * before each plan.
 */
const stubWorker = (onOperation = '', onStart = ''): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { existsSync, writeFileSync } from 'node:fs';
      import { parentPort, resourceLimits, workerData } from 'node:worker_threads';
      const fillMemory = (MiB) => Array.from({ length: MiB }, () => new Array(2 ** 17).fill(0.5));
      const heapMiB = resourceLimits.maxOldGenerationSizeMb;
      let heapBytes = 2 ** 20;
      let threadFolder;
      const { promptMs } = workerData;
      let planned = 0;
      ${onStart}
      parentPort.on('message', ({ operation }) => {
        planned++;
        ${onOperation}
        parentPort.postMessage({ plan: JSON.stringify({ planned, heapMiB, promptMs, operation }) });
      });
      parentPort.postMessage({ heapBytes, threadFolder });
    `)}`,
  );

describe('planning', () => {
  it('makes the plan that the planner makes for the operation', async () => {
    const planner = await start({ sdl: five });
    const plan = await planner.plan('{node{...on A{f0 f3}}}');
    expect(plan.kind).toBe('QueryPlan');
    expect(fetchesOf(plan)).toBe(2);
    expect(JSON.stringify(plan)).not.toContain('DocumentNode');
  });

  it('plans about 300 honest characters over three shareable subgraphs within the budget, in 3 fetches', async () => {
    const planner = await start({ sdl: three });
    expect(fetchesOf(await planner.plan(honestShopOperation))).toBe(3);
  });

  it('plans honest operations while a hostile one is being planned', async () => {
    const planner = await start({ sdl: five, budgetMs: 60_000, memoryMiB: 1_000 });
    let isPending = true;
    const hostile = planner.plan(doublingFragments(12)).finally(() => (isPending = false));
    hostile.catch(() => undefined);
    for (const field of ['f0', 'f1', 'f2']) await planner.plan(`{node{...on A{${field}}}}`);
    expect(isPending).toBe(true);
    await planner.stop();
    await expect(hostile).rejects.toThrow('the planning worker ended');
  });

  it('refuses an operation over the budget, also again without planning it, and plans the next one', async () => {
    const planner = await start({ sdl: five, budgetMs: 500 });
    await expect(planner.plan(doublingFragments(12))).rejects.toMatchObject(tooComplex);
    await expect(planner.plan(doublingFragments(12))).rejects.toMatchObject(tooComplex);
    expect(logged('an operation is too complex to plan')).toBe(1);
    await expect(planner.plan('{node{id}}')).resolves.toMatchObject({ kind: 'QueryPlan' });
  });

  it('refuses an operation over a limit of the planner', async () => {
    const planner = await start({ sdl: five, budgetMs: 60_000 });
    await expect(planner.plan(nestedFields(6))).rejects.toMatchObject(tooComplex);
    expect(fetchesOf(await planner.plan(nestedFields(2)))).toBe(5);
  });

  it('refuses an operation whose text is too long without planning it', async () => {
    const planner = await start({ workerUrl: stubWorker() });
    await expect(planner.plan(`{${'a '.repeat(250_001)}}`)).rejects.toMatchObject(tooComplex);
    await expect(planner.plan('{a}')).resolves.toMatchObject({ planned: 1 });
  });

  it('refuses an operation whose plan is too large', async () => {
    const planner = await start({ workerUrl: stubWorker('operation = operation.repeat(400_000);') });
    await expect(planner.plan('{a}')).rejects.toMatchObject(tooComplex);
  });

  it('refuses an operation that needs too much memory, and plans the next one', async () => {
    const workerUrl = stubWorker(`if (operation === '{large}') fillMemory(1_000);`);
    const planner = await start({ workerUrl });
    await expect(planner.plan('{large}')).rejects.toMatchObject(tooComplex);
    await expect(planner.plan('{a}')).resolves.toMatchObject({ operation: '{a}' });
  });

  it('rejects an operation at which the worker crashes with no refusal, and plans the next one', async () => {
    const planner = await start({ workerUrl: stubWorker(`if (operation === '{crash}') process.exit(3);`) });
    const crashed = await planner.plan('{crash}').catch((error: unknown) => error);
    expect(crashed).toMatchObject({
      message: 'the planning worker ended',
      cause: { message: 'the planning worker ended with code 3' },
    });
    expect(crashed).not.toBeInstanceOf(GraphQLError);
    await expect(planner.plan('{a}')).resolves.toMatchObject({ operation: '{a}' });
    await expect(planner.plan('{crash}')).rejects.toThrow('the planning worker ended');
    await expect(planner.plan('{b}')).resolves.toMatchObject({ operation: '{b}' });
  });

  it('refuses an operation to which a busy machine gives no time, but not when it is sent again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'busy-'));
    try {
      await writeFile(join(folder, 'schedstat'), '0 0 0');
      const begun = JSON.stringify(join(folder, 'begun'));
      const workerUrl = stubWorker(
        `if (!existsSync(${begun})) { writeFileSync(${begun}, ''); for (;;); }`,
        `threadFolder = ${JSON.stringify(folder)};`,
      );
      const planner = await start({ workerUrl, budgetMs: 20 });
      await expect(planner.plan('{a}')).rejects.toMatchObject({ extensions: { code: 'OVERLOADED' } });
      await expect(planner.plan('{a}')).resolves.toMatchObject({ operation: '{a}' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('gives a worker that replaces another one no time of a higher priority', async () => {
    const workerUrl = stubWorker(`if (operation === '{crash}') process.exit(3);`);
    const planner = await start({ workerUrl });
    await expect(planner.plan('{a}')).resolves.toMatchObject({ promptMs: 1_000 });
    await expect(planner.plan('{crash}')).rejects.toThrow('the planning worker ended');
    let n = 0;
    await until(async () => {
      const { promptMs } = (await planner.plan(`{b${n++}}`)) as unknown as { promptMs: number };
      return promptMs === 0;
    });
  });

  it('rejects an operation that does not fit the supergraph with no refusal', async () => {
    const planner = await start({ sdl: five });
    const failed = await planner.plan('{nothing}').catch((error: unknown) => error);
    expect(failed).toHaveProperty('message', expect.stringMatching('Cannot query field "nothing"'));
    expect(failed).not.toBeInstanceOf(GraphQLError);
  });

  it('makes one plan for all who ask at the same time, and none for those who ask later', async () => {
    const planner = await start({ workerUrl: stubWorker() });
    const plans = await Promise.all(Array.from({ length: 20 }, () => planner.plan('{a}')));
    for (const plan of plans) expect(plan).toBe(plans[0]);
    await expect(planner.plan('{a}')).resolves.toBe(plans[0]);
    await expect(planner.plan('{b}')).resolves.toMatchObject({ planned: 2 });
  });

  it('plans an operation again after its plan was evicted', async () => {
    const planner = await start({ workerUrl: stubWorker(), cacheBytes: 20_000 });
    for (let n = 0; n < 100; n++) await planner.plan(`{a${n}}`);
    expect(planner.mostUsed(100).length).toBeLessThan(20);
    await expect(planner.plan('{a0}')).resolves.toMatchObject({ planned: 101 });
  });

  it('has a plan of its own for each set of override labels', async () => {
    const planner = await start({
      sdl: composeSupergraph([
        'type Query { a: Int @shareable } type T @key(fields: "id") { id: ID! }',
        'type Query { moved: Int }',
        'type Query { moved: Int @override(from: "s1", label: "next") }',
      ]),
    });
    const off = await planner.plan('{moved}');
    const on = await planner.plan('{moved}', ['next']);
    expect(off).toMatchObject({ node: { serviceName: 's1' } });
    expect(on).toMatchObject({ node: { serviceName: 's2' } });
    await expect(planner.plan('{moved}')).resolves.toBe(off);
    expect(planner.mostUsed(5)).toEqual(['{moved}']);
  });

  it('refuses further operations while too many wait, and asks to try again', async () => {
    const planner = await start({ workerUrl: stubWorker('for (;;);'), budgetMs: 60_000 });
    const waiting = Array.from({ length: 201 }, (_, n) => planner.plan(`{a${n}}`));
    const outcomes = Promise.allSettled(waiting);
    const refused = await planner.plan('{b}').catch((error: unknown) => error);
    expect(refused).toHaveProperty('message', expect.stringMatching('Try again'));
    expect(refused).toMatchObject({ extensions: { code: 'OVERLOADED', http: { status: 503 } } });
    await planner.stop();
    for (const outcome of await outcomes) expect(outcome.status).toBe('rejected');
    await expect(planner.plan('{b}')).rejects.toThrow('planning has stopped');
  });

  onLinux('lets other threads go first after it has planned for a while', async () => {
    const planner = await start({ sdl: five, promptMs: 300 });
    await planner.plan('{node{id}}');
    await until(() => hasThreadOfPriority(5));
    let n = 0;
    await until(async () => {
      await planner.plan(`{node{a${n++}:id}}`);
      return hasThreadOfPriority(15);
    });
  });

  it('does not start on a supergraph that cannot be built, and says why', async () => {
    await expect(start({ sdl: 'type Query { a: Missing }' })).rejects.toThrow(/Missing|supergraph/);
  });

  it('gives a large supergraph the heap that it needs besides the memory for planning', async () => {
    const reports = stubWorker('', 'heapBytes = 200 * 2 ** 20;');
    const { heapMiB } = (await (await start({ workerUrl: reports })).plan('{a}')) as unknown as {
      heapMiB: number;
    };
    expect(heapMiB).toBeGreaterThanOrEqual(240);
    const fails = stubWorker('', 'globalThis.supergraph = fillMemory(150);');
    await expect((await start({ workerUrl: fails })).plan('{a}')).resolves.toMatchObject({ planned: 1 });
  });

  it('plans the most used operations before the next supergraph is used', async () => {
    const previous = await start({ sdl: five });
    for (const operation of ['{node{id}}', '{node{next{id}}}', '{node{id}}']) await previous.plan(operation);
    const next = await start({ sdl: three });
    await warmUp({ previous, next, logger });
    expect(next.mostUsed(5)).toEqual([]);
    const same = await start({ sdl: five });
    await warmUp({ previous, next: same, logger, count: 1 });
    expect(same.mostUsed(5)).toEqual(['{node{id}}']);
  });
});

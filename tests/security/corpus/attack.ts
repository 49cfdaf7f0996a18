import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import { until } from '@cinegraph/testing/until';
import { gatewayCode } from '../../../gateway/src/errors.js';
import { inParallel } from './in-parallel.js';
import { startStack, supergraph, type Stack } from './stack.js';
import { printTable, type Row } from './table.js';

/** A request. The body is JSON of `query`, `variables` and `extensions`, unless `body` is given. */
export interface Attack {
  readonly query?: string;
  readonly variables?: unknown;
  readonly extensions?: unknown;
  readonly body?: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The address of the client, of 127.0.0.0/8: budgets are kept by it. */
  readonly from?: string;
  /** The server; the gateway of the stack by default. */
  readonly url?: string;
}

/** What a response must be. By default a refusal: any 4xx, and no fetch. */
export interface Expected {
  readonly status?: number | readonly number[];
  /** The code of the first error. */
  readonly code?: string | RegExp;
  /** Whether subgraphs may be asked, because the operation is valid. */
  readonly fetches?: boolean;
}

/** A response as a client sees it. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly ms: number;
  readonly data: Record<string, unknown> | null | undefined;
  readonly errors: readonly {
    readonly message: string;
    readonly locations?: unknown;
    readonly extensions: Record<string, unknown>;
  }[];
}

/** What a case works with. */
export interface Tools {
  readonly stack: Stack;
  /** Sends an attack, and checks the rules (s1) to (s6) of the corpus on its response. */
  readonly attack: (attack: Attack, expected?: Expected) => Promise<Answer>;
  /** Sends a request without checking anything: for what a case needs before its attack. */
  readonly ask: (attack: Attack) => Promise<Answer>;
  /** Adds a figure or a remark to the row of the case. */
  readonly note: (text: string) => void;
}

type Case = (number: number, what: string, run: (tools: Tools) => Promise<void>) => void;

/** Limits of the rules. Only a multiple of a time fails, because the machine may be shared. */
const limits = { ms: 250, bytes: 20_000, memoryMiB: 50, slowMachine: 40, memoryFailure: 250 };

/** The codes that a response may have: docs/operations.md lists them. */
const codes: ReadonlySet<unknown> = new Set([
  ...Object.values<string>(gatewayCode),
  ...Object.values<string>(ApolloServerErrorCode),
  ...['NOT_FOUND', 'REQUEST_TIMEOUT', 'REQUEST_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'DEFER_NOT_ACCEPTED'],
  ...(/^enum ErrorCode[^{]*\{([^}]*)\}/m.exec(supergraph)?.[1]?.match(/^ {2}[A-Z_]+/gm) ?? []).map((code) =>
    code.trim(),
  ),
]);

/** Stacks, addresses, subgraphs, SQL, paths and libraries, none of which a client may see. */
const leaks = [
  /\n\s+at |\bat [^"]*\.[cm]?[jt]s\b|"(?:stacktrace|exception|serviceName)"/,
  /127\.0\.0\.1|localhost|ECONN|[\w\]]:\d{4,5}\b/,
  /"metadata"|\b(?:subgraph|service|in|by) "?(?:metadata|rating|users)\b/i,
  /\bSELECT\b.*\bFROM\b|\b(?:INSERT INTO|DELETE FROM|UPDATE \w+ SET)\b|relation "|postgres|\b42P\d\d\b|\bP20\d\d\b/,
  /node_modules|\/(?:home|usr|srv|tmp|dist|src)\//,
  /fastify|FST_|prisma|undici|apollo server|graphql-js|\bjose\b/i,
];

const rows: Row[] = [];
let stack: Stack;
let coldMiB = 0;
let fullMiB = 0;
const probe = { worstMs: 0 };

/** Starts the stack for the tests of this file, and prints the table at their end. */
export const useStack = (): void => {
  beforeAll(async () => {
    stack = await startStack();
    coldMiB = stack.memoryMiB();
    // The rule is about a gateway in use, whose caches of documents and plans are full.
    await inParallel(15_000, async (n) => {
      await send({ query: `{ warm${n}: genre(id: "none") { id } }` });
    });
    fullMiB = stack.memoryMiB();
  }, 120_000);
  afterAll(async () => {
    printTable(rows, { coldMiB, fullMiB, worstProbeMs: probe.worstMs });
    await stack.stop();
  });
};

/** Declares the cases of one section, and checks the memory of the gateway after them. */
export const section = (name: string, declare: (test: Case) => void): void => {
  describe(name, () => {
    declare((number, what, run) => {
      it(`${number}: ${what}`, async () => {
        const row: Row = {
          section: name,
          number,
          what,
          statuses: new Set(),
          codes: new Set(),
          notes: [],
          ...noFigures(),
        };
        rows.push(row);
        await run(toolsOf(row));
        row.passed = true;
      }, 120_000);
    });
    it('(s4) the gateway lives, and its memory returns to at most 50 MiB above that of full caches', async () => {
      // V8 collects garbage when it is asked for memory, so the gateway serves others meanwhile.
      const isBack = async () => {
        await send({ query: '{ topRated(first: 1) { totalCount } }' });
        return stack.memoryMiB() <= fullMiB + limits.memoryMiB;
      };
      await until(isBack, 'the memory is back', 30_000).catch(() => undefined);
      const overMiB = stack.memoryMiB() - fullMiB;
      rows.push({
        section: name,
        number: 0,
        what: `memory ${overMiB >= 0 ? '+' : ''}${overMiB.toFixed(0)} MiB`,
        statuses: new Set(),
        codes: new Set(),
        notes: [],
        ...noFigures(),
        passed: overMiB <= limits.memoryMiB,
      });
      expect((await send({ path: '/health/live', method: 'GET' })).status).toBe(200);
      expect(overMiB).toBeLessThan(limits.memoryFailure);
    });
  });
};

const noFigures = () => ({ ms: 0, bytes: 0, fetches: 0, probeMs: 0, passed: false });

const toolsOf = (row: Row): Tools => ({
  stack,
  ask: send,
  note: (text) => row.notes.push(text),
  attack: async (attack, expected = {}) => {
    const fetchesBefore = stack.fetches();
    const watch = startProbe();
    const answer = await send(attack).finally(() => watch.end());
    const probeMs = await watch.result;
    const fetches = stack.fetches() - fetchesBefore;
    const bytes = Buffer.byteLength(answer.text);
    row.ms = Math.max(row.ms, answer.ms);
    row.bytes = Math.max(row.bytes, bytes);
    row.fetches += fetches;
    row.probeMs = Math.max(row.probeMs, probeMs);
    probe.worstMs = Math.max(probe.worstMs, probeMs);
    row.statuses.add(answer.status);
    for (const { extensions } of answer.errors) row.codes.add(String(extensions['code']));
    expectRules(answer, { ...expected, bytes, fetched: fetches, probeMs });
    return answer;
  },
});

/** Checks the rules; (s4) is checked once a section. */
const expectRules = (
  answer: Answer,
  facts: Expected & { bytes: number; fetched: number; probeMs: number },
): void => {
  const { status, text, errors } = answer;
  const { status: expected, code, fetches = false } = facts;
  if (expected === undefined) {
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
  } else expect([expected].flat()).toContain(status);
  if (code !== undefined)
    expect(errors[0]?.extensions['code']).toEqual(
      typeof code === 'string' ? code : expect.stringMatching(code),
    );
  expect(facts.bytes).toBeLessThanOrEqual(limits.bytes);
  expect(answer.ms).toBeLessThan(limits.ms * limits.slowMachine);
  expect(facts.probeMs).toBeLessThan(limits.ms * limits.slowMachine);
  if (!fetches) expect(facts.fetched).toBe(0);
  for (const { extensions } of errors) expect(codes).toContain(extensions['code']);
  expect(errors.length).toBeLessThanOrEqual(100);
  const shown =
    errors.length > 0
      ? errors.map(({ locations: _, ...rest }) => JSON.stringify(rest)).join('\n')
      : status >= 400
        ? text
        : '';
  for (const leak of leaks) expect(shown).not.toMatch(leak);
};

/** Asks for `{ __typename }` until `end`, at least once. The result is the worst time in milliseconds. */
const startProbe = () => {
  let ended = false;
  const run = async (): Promise<number> => {
    let worstMs = 0;
    do {
      const { status, ms } = await send({ query: '{ __typename }', from: '127.0.0.99' });
      expect(status).toBe(200);
      worstMs = Math.max(worstMs, ms);
    } while (!ended);
    return worstMs;
  };
  return { result: run(), end: () => void (ended = true) };
};

/** Sends a request on a connection of its own. Rejects if the connection is dropped without a response. */
const send = ({
  query,
  variables,
  extensions,
  body,
  method = 'POST',
  path = '/graphql',
  headers = {},
  from,
  url,
}: Attack): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const payload = method === 'POST' ? (body ?? JSON.stringify({ query, variables, extensions })) : body;
    const sent = httpRequest(
      `${url ?? stack.url}${path}`,
      {
        method,
        agent: false,
        headers: {
          ...(method === 'POST' && { 'content-type': 'application/json' }),
          ...sized(payload),
          accept: 'application/graphql-response+json, application/json;q=0.9',
          ...headers,
        },
        ...(from !== undefined && { localAddress: from }),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('error', reject).once('end', () => {
          const ms = performance.now() - startedAt;
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            ms,
            ...resultOf(text),
          });
          sent.destroy();
        });
      },
    );
    sent.once('error', reject).end(payload);
  });

const sized = (payload: string | undefined) =>
  payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) };

const resultOf = (text: string): Pick<Answer, 'data' | 'errors'> => {
  try {
    const { data, errors = [] } = JSON.parse(text) as Partial<Answer>;
    return { data, errors };
  } catch {
    return { data: undefined, errors: [] };
  }
};

import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { addTurns } from './turns.js';

describe('the turns of requests', () => {
  let app: FastifyInstance;
  let begun: { id: string; waitedMs: number }[];
  /** Runs in each request that begins. */
  let onBegin: (socket: Socket) => void;

  beforeEach(async () => {
    begun = [];
    onBegin = () => undefined;
    app = fastify();
    const { takeTurn, waitedMs } = addTurns(app);
    app.get<{ Params: { id: string } }>('/:id', { onRequest: takeTurn }, (request, reply) => {
      begun.push({ id: request.params.id, waitedMs: waitedMs(request) });
      onBegin(request.socket);
      void reply.send(request.params.id);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
  });
  afterEach(async () => {
    await app.close();
  });

  /** Sends requests over one connection at once, so that the server reads all of them in one turn. */
  const sendAtOnce = (count: number) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    const lines = Array.from({ length: count }, (_, id) => `GET /${id} HTTP/1.1\r\nhost: a\r\n\r\n`);
    socket.write(lines.join(''));
    return socket;
  };

  it('begin in the order of arrival, at most eight in one turn, and know how long they waited', async () => {
    const turns: number[] = [];
    let isCounting = true;
    const countTurn = (): void => {
      turns.push(begun.length);
      if (isCounting) setImmediate(countTurn);
    };
    onBegin = () => {
      if (begun.length === 1) setImmediate(countTurn);
      if (begun.length !== 9) return;
      const end = performance.now() + 20;
      while (performance.now() < end);
    };
    const socket = sendAtOnce(40);
    let received = '';
    for await (const chunk of socket) {
      received += String(chunk);
      if (received.split('HTTP/1.1 200').length > 40) break;
    }
    isCounting = false;
    expect(begun.map(({ id }) => Number(id))).toEqual(Array.from({ length: 40 }, (_, id) => id));
    const perTurn = turns.map((count, turn) => count - (turns[turn - 1] ?? 0));
    expect(Math.max(...perTurn)).toBe(8);
    expect(begun[0]?.waitedMs).toBe(0);
    expect(begun[39]?.waitedMs).toBeGreaterThanOrEqual(20);
  });

  it('do not begin after their client has left, and others do', async () => {
    onBegin = (socket) => {
      if (begun.length === 1) socket.destroy();
    };
    const socket = sendAtOnce(100);
    await new Promise((resolve) => socket.once('close', resolve));
    const response = await fetch(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}/after`);
    expect(await response.text()).toBe('after');
    expect(begun.length).toBeLessThan(50);
    expect(begun.at(-1)?.id).toBe('after');
  });
});

import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { addTurns } from './turns.js';

describe('the turns of requests', () => {
  let app: FastifyInstance;
  let begun: { id: string; waitedMs: number }[];
  /** Runs in each request that begins. */
  let onBegin: (socket: Socket) => void;
  let sockets: Socket[];

  beforeEach(async () => {
    begun = [];
    sockets = [];
    onBegin = () => undefined;
    app = fastify();
    const { takeTurn, waitedMs } = addTurns(app);
    app.post<{ Params: { id: string } }>('/:id', { onRequest: takeTurn }, (request, reply) => {
      begun.push({ id: request.params.id, waitedMs: waitedMs(request) });
      onBegin(request.socket);
      void reply.send(request.params.id);
    });
    app.get('/ready', (_request, reply) => reply.send('ready'));
    await app.listen({ port: 0, host: '127.0.0.1' });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await app.close();
  });

  const receive = (socket: Socket): Promise<string> =>
    new Promise((resolve) => {
      socket.once('data', (chunk) => resolve(String(chunk)));
    });
  /** Opens connections on which the server has answered already. */
  const open = async (count: number): Promise<Socket[]> => {
    const { port } = app.server.address() as AddressInfo;
    sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => undefined));
    const answers = sockets.map(receive);
    for (const socket of sockets) socket.write('GET /ready HTTP/1.1\r\nhost: a\r\n\r\n');
    await Promise.all(answers);
    return sockets;
  };
  const post = (id: number): string =>
    `POST /${id} HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi`;
  const blockFor = (ms: number): void => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };

  it('begin in the order of arrival, at most eight in one turn, and know how long they waited', async () => {
    const opened = await open(40);
    const arrived: string[] = [];
    app.server.on('request', ({ url }) => arrived.push(String(url).slice(1)));
    const turns: number[] = [];
    let isCounting = true;
    const countTurn = (): void => {
      turns.push(begun.length);
      if (isCounting) setImmediate(countTurn);
    };
    setImmediate(countTurn);
    // The ninth waits already, and those after it as well.
    onBegin = () => {
      if (begun.length === 9) blockFor(20);
    };
    const answers = opened.map(receive);
    opened.forEach((socket, id) => socket.write(post(id)));
    expect((await Promise.all(answers)).every((answer) => answer.startsWith('HTTP/1.1 200'))).toBe(true);
    isCounting = false;
    expect(begun.map(({ id }) => id)).toEqual(arrived);
    const perTurn = turns.map((count, turn) => count - (turns[turn - 1] ?? 0));
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(8);
    expect(begun[0]?.waitedMs).toBe(0);
    expect(begun[39]?.waitedMs).toBeGreaterThanOrEqual(20);
  });

  it('do not begin after their client has left', async () => {
    const opened = await open(40);
    onBegin = () => {
      if (begun.length > 1) return;
      for (const socket of opened.slice(20)) socket.destroy();
      // The closed connections are seen in a later turn.
      setImmediate(() => blockFor(20));
    };
    const answers = opened.slice(0, 20).map(receive);
    opened.forEach((socket, id) => socket.write(post(id)));
    await Promise.all(answers);
    expect(begun.length).toBeGreaterThanOrEqual(20);
    expect(begun.length).toBeLessThan(40);
  });

  it('wait for one request of each other connection, and not for those that are pipelined', async () => {
    const [one, other] = (await open(2)) as [Socket, Socket];
    const answer = receive(other);
    one.write(Array.from({ length: 1_000 }, (_, id) => post(id)).join(''));
    other.write(post(5_000));
    await answer;
    expect(begun.length).toBeGreaterThan(8);
    expect(begun.filter(({ waitedMs }) => waitedMs > 0).length).toBeLessThan(100);
  });
});

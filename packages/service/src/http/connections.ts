import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';

/** How long a drain waits for a client that is still sending its request. */
const unfinishedBodyMs = 2_000;

/**
 * How long a connection stays open during the drain without a request. A request that is already on its way
 * arrives within it, and its response closes the connection; closed at once, the request would be lost.
 */
const idleLingerMs = 250;

/**
 * Follows the connections of a server. `drain`, called when the server accepts no more, resolves when all of
 * them are closed.
 */
export const trackConnections = (server: Server) => {
  const sockets = new Map<Socket, { readonly requests: Set<IncomingMessage>; idleSince: number }>();
  const track = (socket: Socket): void => {
    sockets.set(socket, { requests: new Set(), idleSince: performance.now() });
    socket.once('close', () => sockets.delete(socket));
  };
  // With TLS, a connection has another socket from the end of its handshake.
  const handshakes = new Map<string, Socket>();
  const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
  server.on('connection', (socket: Socket) => {
    track(socket);
    if (!(server instanceof TlsServer)) return;
    const peer = peerOf(socket);
    handshakes.set(peer, socket);
    socket.once('close', () => {
      if (handshakes.get(peer) === socket) handshakes.delete(peer);
    });
  });
  server.on('secureConnection', (socket: Socket) => {
    const raw = handshakes.get(peerOf(socket));
    if (raw) sockets.delete(raw);
    track(socket);
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = sockets.get(request.socket);
    connection?.requests.add(request);
    response.once('close', () => {
      connection?.requests.delete(request);
      if (connection) connection.idleSince = performance.now();
    });
  });
  // Closing a server calls this, and it would reset a connection on which a request is about to arrive.
  server.closeIdleConnections = () => undefined;

  const drain = async () => {
    const began = performance.now();
    while (sockets.size > 0) {
      const now = performance.now();
      for (const [socket, { requests, idleSince }] of sockets) {
        const isIdle = requests.size === 0 && now - Math.max(began, idleSince) >= idleLingerMs;
        // A client that never completes its request must not block the drain.
        const isUnfinished =
          now - began >= unfinishedBodyMs && [...requests].some(({ complete }) => !complete);
        if (isIdle || isUnfinished) socket.destroy();
      }
      await delay(10);
    }
  };
  return { drain };
};

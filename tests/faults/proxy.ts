import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A proxy in front of a server, which can be closed. */
export interface Proxy {
  readonly port: number;
  /** Closes every connection and accepts no new one, as if the server were down. */
  cut(): Promise<void>;
  /** Accepts connections again on the same port. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** Transforms the bytes of one connection. By default both directions are unchanged. */
export type Relayed = (client: Socket, server: Socket) => void;

/** Starts a proxy on a free port of the loopback address, in front of another port there. */
export const startProxy = async (
  target: number,
  relay: Relayed = (client, server) => {
    client.pipe(server);
    server.pipe(client);
  },
): Promise<Proxy> => {
  const open = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect({ host: '127.0.0.1', port: target });
    for (const socket of [client, server]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    relay(client, server);
  });
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      proxy.once('error', reject);
      proxy.listen(port, '127.0.0.1', resolve);
    });
  const cut = () =>
    new Promise<void>((resolve) => {
      proxy.close(() => resolve());
      for (const socket of open) socket.resetAndDestroy();
    });
  await listen(0);
  const { port } = proxy.address() as AddressInfo;
  return {
    port,
    cut,
    restore: () => listen(port),
    stop: async () => {
      if (proxy.listening) await cut();
    },
  };
};

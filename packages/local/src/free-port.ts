import { createServer } from 'node:net';

/** Returns a port of the loopback address on which nothing listens at the moment. */
export const freePort = (): Promise<number> => probePort(0);

/** Listens on a port for a moment and returns its number. Rejects if the port is taken. */
export const probePort = (port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

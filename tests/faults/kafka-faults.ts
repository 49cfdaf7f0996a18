import type { FaultRandom } from './support.js';
import { startProxy, type Proxy } from './proxy.js';

/** Kafka's API keys of the requests that may fail. */
const apis = { produce: 0, metadata: 3, offsetCommit: 8, findCoordinator: 10, heartbeat: 12 } as const;

/** Kafka's error codes. */
const errors = {
  notLeader: 6,
  timedOut: 7,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  outOfOrderSequence: 45,
} as const;
/** Errors that clients retry by themselves, except for the last one. */
const produceErrors = [
  ...[errors.notLeader, errors.timedOut],
  ...[errors.notEnoughReplicas, errors.notEnoughReplicasAfterAppend, errors.outOfOrderSequence],
];
const groupErrors = [errors.coordinatorNotAvailable, errors.notCoordinator];

/** A Kafka that fails at random. */
export interface FailingKafka {
  readonly brokers: readonly string[];
  /** Returns how many requests failed: those with records, and those of groups. */
  readonly injected: { readonly records: number; readonly groups: number };
  /** Stops the faults. */
  readonly calm: () => void;
  stop(): Promise<void>;
}

/**
 * Starts a proxy that fails at random, in front of the broker at `port`. It answers a publication with an
 * error (timeout, not enough replicas, not the leader, out of order) whether or not the broker appended the
 * records. It closes connections before or after the records were appended, and reports that the coordinator
 * has moved. Requests for addresses return its own.
 */
export const startFailingKafka = async (
  port: number,
  random: FaultRandom,
  percent: number,
): Promise<FailingKafka> => {
  const injected = { records: 0, groups: 0 };
  let calm = false;
  const strikes = (what: keyof typeof injected) => {
    const strike = !calm && random.percent(percent);
    if (strike) injected[what] += 1;
    return strike;
  };
  const oneOf = (codes: readonly number[]) => codes[random.int(codes.length)] ?? 0;
  const addresses = { from: address(port), to: address(0) };
  const proxy: Proxy = await startProxy(port, (client, server) => {
    const asked = new Map<number, { readonly api: number; readonly version: number; fail: boolean }>();
    const hangUp = () => client.destroy();
    client.on(
      'data',
      frames((frame) => {
        const [api, version, id] = [frame.readInt16BE(4), frame.readInt16BE(6), frame.readInt32BE(8)];
        const fail = api === apis.produce && strikes('records');
        asked.set(id, { api, version, fail });
        const how = random.int(4);
        if (fail && how === 0) hangUp();
        else {
          // Records with a wrong checksum are rejected by the broker.
          if (fail && how > 1) frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 0xff, frame.length - 1);
          server.write(frame);
        }
      }),
    );
    server.on(
      'data',
      frames((frame) => {
        const id = frame.readInt32BE(4);
        const { api, version, fail } = asked.get(id) ?? { api: -1, version: 0, fail: false };
        asked.delete(id);
        if (api === apis.metadata || api === apis.findCoordinator) replaceAll(frame, addresses);
        else if (fail) {
          if (random.int(4) === 0) {
            hangUp();
            return;
          }
          failProduced(frame, version, oneOf(produceErrors));
        } else if (api === apis.offsetCommit && strikes('groups')) failCommitted(frame, oneOf(groupErrors));
        else if (api === apis.heartbeat && strikes('groups')) frame.writeInt16BE(oneOf(groupErrors), 12);
        client.write(frame);
      }),
    );
  });
  addresses.to = address(proxy.port);
  return {
    brokers: [`127.0.0.1:${proxy.port}`],
    injected,
    calm: () => void (calm = true),
    stop: proxy.stop,
  };
};

/** Returns host and port as they are encoded in the broker's responses. */
const address = (port: number): Buffer => {
  const bytes = Buffer.from('127.0.0.1\0\0\0\0');
  bytes.writeInt32BE(port, bytes.length - 4);
  return bytes;
};

const replaceAll = (frame: Buffer, { from, to }: { readonly from: Buffer; readonly to: Buffer }): void => {
  for (let at = frame.indexOf(from); at >= 0; at = frame.indexOf(from, at + from.length)) to.copy(frame, at);
};

/** Splits a stream into messages of the protocol: a length of four bytes, then that number of bytes. */
const frames = (onFrame: (frame: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes: Buffer): void => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      const frame = Buffer.from(rest.subarray(0, end));
      rest = rest.subarray(end);
      onFrame(frame);
    }
  };
};

/**
 * Walks over the topics of a response from offset `at`; calls `onPartition` with the offset of each
 * partition.
 */
const walk = (frame: Buffer, at: number, bytesEach: number, onPartition: (at: number) => void): void => {
  let place = at + 4;
  for (let topics = frame.readInt32BE(at); topics > 0; topics -= 1) {
    place += 2 + frame.readInt16BE(place);
    const partitions = frame.readInt32BE(place);
    place += 4;
    for (let partition = 0; partition < partitions; partition += 1, place += bytesEach) onPartition(place);
  }
};

/** In versions 3 to 7: partition, error, offset, time and, from 5, the start of the log. */
const failProduced = (frame: Buffer, version: number, code: number): void =>
  walk(frame, 8, version >= 5 ? 30 : 22, (at) => {
    frame.writeInt16BE(code, at + 4);
    frame.writeBigInt64BE(-1n, at + 6);
  });

/** In versions 3 to 5: throttle time, then partition and error. */
const failCommitted = (frame: Buffer, code: number): void =>
  walk(frame, 12, 6, (at) => frame.writeInt16BE(code, at + 4));

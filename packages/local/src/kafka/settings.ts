import { createHash } from 'node:crypto';

/** Ports of one broker, all on the loopback address. */
export interface KafkaPorts {
  readonly broker: number;
  /** The controller ports of all nodes of the cluster, in the order of the nodes. */
  readonly controllers: readonly number[];
  /** The port of the listener SECURE, if the broker has one. */
  readonly secure?: number | undefined;
}

/** Settings of a further listener SECURE with TLS and SASL, without their prefix `listener.name.secure.`. */
export type SecureListener = Readonly<Record<string, string>>;

/** Options of a broker beyond the settings that all brokers share. */
export interface KafkaOptions {
  /** A further listener, as a managed Kafka has one, for tests of how clients connect. */
  readonly secure?: SecureListener | undefined;
  /**
   * Limits Java's compiler: the broker starts sooner and costs less processor time, but is slower in the long
   * run.
   */
  readonly shortLived?: boolean | undefined;
}

/**
 * The node of a cluster that a broker is: its number, from 1, and the name that all nodes give the cluster.
 */
export interface KafkaNode {
  readonly node: number;
  readonly cluster: string;
}

/**
 * Returns the broker settings that Java and Docker share: small, quick to start, topics on up to three nodes.
 */
export const brokerSettings = ({ node }: KafkaNode, { controllers }: KafkaPorts) => {
  const replicas = Math.min(3, controllers.length);
  const inSync = replicas === 3 ? 2 : 1;
  return {
    'process.roles': 'broker,controller',
    'node.id': node,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': controllers.map((port, at) => `${at + 1}@127.0.0.1:${port}`).join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 8,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    // Consumers of packages/messaging ask for sessions of this length, so that a killed one is replaced soon.
    'group.min.session.timeout.ms': 2_000,
    // After a kill, the broker waits until its own previous session has ended.
    'broker.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 2_000,
    // Our topics have settings of their own; a misspelt name must not create one.
    'auto.create.topics.enable': 'false',
    'num.partitions': 8,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
  };
};

/** Returns the listener settings; `host` is the address to listen on, which differs inside a container. */
export const listenerSettings = (
  { node }: KafkaNode,
  { broker, controllers, secure }: KafkaPorts,
  secureListener: SecureListener,
  host: string,
) => {
  const advertised = [`PLAINTEXT://127.0.0.1:${broker}`, ...(secure ? [`SECURE://127.0.0.1:${secure}`] : [])];
  return {
    listeners: [
      ...advertised.map((address) => address.replace('127.0.0.1', host)),
      `CONTROLLER://127.0.0.1:${controllers[node - 1]}`,
    ].join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
    ...Object.fromEntries(
      Object.entries(secureListener).map(([name, value]) => [`listener.name.secure.${name}`, value] as const),
    ),
  };
};

/** Returns the cluster id for a cluster's name: 16 bytes in base64url, always the same ones. */
export const clusterIdOf = ({ cluster }: KafkaNode): string =>
  createHash('sha256').update(cluster).digest().subarray(0, 16).toString('base64url').replace(/^-/u, 'A');

import type { MigrationSet } from '@cinegraph/database/migrate';
import type { BaseContext } from '@apollo/server';
import type { Broker } from '@cinegraph/messaging/broker';
import type { TopicDefinition } from '@cinegraph/messaging/envelope';
import type { Clock } from '@cinegraph/service/clock';
import type { Logger } from '@cinegraph/service/logger';
import type { Part } from '@cinegraph/service/parts';
import type { Viewer } from '@cinegraph/service/viewer';
import type pg from 'pg';
import type { z } from 'zod';
import type { CursorSealer } from './cursors.js';

/** Describes what is particular to one subgraph. Everything else is the same for all of them. */
export interface SubgraphDefinition<Context extends BaseContext> {
  /** One word: the name of the folder, the supergraph.yaml key, the database and `service.name`. */
  readonly name: string;
  /** The SDL file that is the contract. */
  readonly schema: URL;
  /** The migrations of its database: its own, and those of the messaging tables that it uses. */
  readonly migrations: readonly MigrationSet[];
  /** The topics that it publishes to or consumes. Missing topics are created. */
  readonly topics: readonly TopicDefinition[];
  /** Environment variables that only this subgraph reads, through `SubgraphTools.variables`. */
  readonly variables?: z.ZodRawShape;
  /** One object per GraphQL type. The generated resolver types check it. */
  readonly resolvers: object;
  /** Builds what is shared by all requests, such as loaders and commands. Called once per process. */
  open(tools: SubgraphTools): OpenSubgraph<Context>;
}

/** What a subgraph is given to build its parts with. */
export interface SubgraphTools {
  readonly pool: pg.Pool;
  /** Undefined only in tests. Then nothing is consumed, and events stay in the outbox. */
  readonly broker: Broker | undefined;
  /** The secret of the graph, from which the keys of producers are derived. Always set in production. */
  readonly subgraphKey: string | undefined;
  /** Reads the variables of the definition, as `readEnv` does. */
  variables<Shape extends z.ZodRawShape>(shape: Shape): z.output<z.ZodObject<Shape>>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly cursors: CursorSealer;
}

/** A JSON document that anybody may read, such as public keys: it is served without an identity. */
export interface PublicDocument {
  readonly path: string;
  /** For how many seconds caches may keep it. */
  readonly maxAgeSeconds: number;
  read(): Promise<object>;
}

/** A subgraph that was built, but has not been started. */
export interface OpenSubgraph<Context extends BaseContext> {
  /** Returns the context that the resolvers of one request get. */
  context(viewer: Viewer): Context;
  /** Served by GET on the port of `/graphql`, also to requests that the gateway did not sign. */
  readonly documents?: readonly PublicDocument[];
  /** Started after the database, and stopped before it. */
  readonly parts?: readonly Part[];
  /** Started after `parts` and the broker, and stopped before them. */
  readonly consumers?: readonly Part[];
}

import type { CursorSealer } from '@cinegraph/subgraph/cursors';
import type { Viewer } from '@cinegraph/service/viewer';
import type pg from 'pg';
import type { MovieCommands } from './commands/commands.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { Loaders } from './loaders.js';

/** The context of every resolver of metadata: the viewer, and the ways to read and write. */
export interface Context {
  readonly viewer: Viewer;
  readonly pool: pg.Pool;
  /** The pool of the searches, with few connections and a short statement time-out. */
  readonly searchPool: pg.Pool;
  readonly prisma: PrismaClient;
  readonly loaders: Loaders;
  readonly commands: MovieCommands;
  readonly cursors: CursorSealer;
}

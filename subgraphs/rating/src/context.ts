import type { CursorSealer } from '@cinegraph/subgraph/cursors';
import type { Viewer } from '@cinegraph/service/viewer';
import type { RatingCommands } from './commands.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { Loaders } from './loaders.js';

/** What every resolver of rating is given: the viewer, and what it reads and writes with. */
export interface Context {
  readonly viewer: Viewer;
  readonly prisma: PrismaClient;
  readonly loaders: Loaders;
  readonly commands: RatingCommands;
  readonly cursors: CursorSealer;
}

import type { Viewer } from '@cinegraph/service/viewer';
import type { AccountCommands } from './commands/accounts.js';
import type { SessionCommands } from './commands/sessions.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { Loaders } from './loaders.js';
import type { PasswordTurn } from './password-turn.js';

/** What every resolver of users gets: the viewer, and what it reads and writes with. */
export interface Context {
  readonly viewer: Viewer;
  readonly prisma: PrismaClient;
  readonly loaders: Loaders;
  readonly accounts: AccountCommands;
  readonly sessions: SessionCommands;
  readonly passwordTurn: PasswordTurn;
}

import { runCommands } from '@cinegraph/subgraph/jobs/commands';
import { migrations } from '../migrations.js';
import { createAdmin } from './create-admin.js';
import { keys } from './keys.js';
import { grant, revoke } from './roles.js';

await runCommands({
  subgraph: 'users',
  migrations,
  call: 'npm run users --',
  commands: { 'create-admin': createAdmin, grant, revoke, keys },
});

import { runCommands } from '@cinegraph/subgraph/jobs/commands';
import { migrations } from '../migrations.js';
import { key } from './key.js';
import { produce } from './produce.js';
import { rebuild } from './rebuild.js';
import { unknown } from './unknown.js';

await runCommands({
  subgraph: 'rating',
  migrations,
  call: 'npm run ratings --',
  commands: { key, produce, rebuild, unknown },
});

import { runCommands } from '@cinegraph/subgraph/jobs/commands';
import { migrations } from '../migrations.js';
import { join, part } from './join.js';
import { twice } from './twice.js';

await runCommands({
  subgraph: 'metadata',
  migrations,
  call: 'npm run movies --',
  commands: { join, part, twice },
});

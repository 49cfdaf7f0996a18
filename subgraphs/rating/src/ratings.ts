import { runJob } from '@cinegraph/subgraph/jobs/run-job';
import type { RatingsCommand } from './command-line/command.js';
import { dlq, replay } from './command-line/dlq.js';
import { key } from './command-line/key.js';
import { lag } from './command-line/lag.js';
import { outbox } from './command-line/outbox.js';
import { produce } from './command-line/produce.js';
import { rebuild } from './command-line/rebuild.js';
import { migrations } from './migrations.js';

/** What `npm run ratings -- <command>` knows. */
const commands: Readonly<Record<string, RatingsCommand>> = {
  produce,
  replay,
  rebuild,
  dlq,
  lag,
  outbox,
  key,
};

const usage = `Usage: npm run ratings -- <command>
${Object.values(commands)
  .map((command) => command.usage)
  .join('')}
`;

const [word = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
if (!command) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  await runJob({
    subgraph: 'rating',
    what: command.what,
    migrations,
    work: async (tools) => {
      const code = await command.run(args, tools);
      if (code !== 'usage') return code;
      process.stderr.write(usage);
      return 2;
    },
  });
}

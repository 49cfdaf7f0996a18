import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '@cinegraph/local/process-alive';
import { startEmbeddedPostgres, removeEmbeddedPostgres } from '@cinegraph/local/postgres/embedded';

const prefix = 'cinegraph-test-';

/**
 * Starts a PostgreSQL for the tests in a new temporary folder, without durability, which makes it fast.
 * `stop` removes it with its data. Servers of earlier runs that were killed are stopped and removed first.
 */
export const startTestServer = async (): Promise<{
  superuserUrl: string;
  stop(): Promise<void>;
}> => {
  await removeAbandoned();
  const directory = await mkdtemp(join(tmpdir(), prefix));
  await chmod(directory, 0o711);
  await writeFile(join(directory, 'pid'), String(process.pid));
  const server = await startEmbeddedPostgres({
    directory,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' },
  });
  return {
    superuserUrl: server.superuserUrl,
    stop: async () => {
      await server.stop();
      await remove(directory);
    },
  };
};

const remove = async (directory: string) => {
  await removeEmbeddedPostgres(directory);
  await rm(directory, { recursive: true, force: true });
};

const removeAbandoned = async () => {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(tmpdir(), name);
    const pid = Number(await readFile(join(directory, 'pid'), 'utf8').catch(() => ''));
    if (pid > 0 && !isAlive(pid)) await remove(directory).catch(() => undefined);
  }
};

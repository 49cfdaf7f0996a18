import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readEnv } from '@cinegraph/service/env';
import { testSubgraphKey } from '@cinegraph/testing/subgraph';
import type { Command } from '@cinegraph/subgraph/jobs/commands';
import { createAdmin } from '../src/command-line/create-admin.js';
import { keys } from '../src/command-line/keys.js';
import { grant, revoke } from '../src/command-line/roles.js';
import { password, usersWorld } from './world.js';

let world: Awaited<ReturnType<typeof usersWorld>>;
beforeAll(async () => {
  world = await usersWorld();
});
afterAll(() => world.subgraph.stop());

/** Runs a command as the command line does; returns its exit code, or `usage`, and what it printed. */
const run = async (command: Command, args: readonly string[], input = '') => {
  let printed = '';
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  const { stdin } = process;
  Object.defineProperty(process, 'stdin', { value: Readable.from([input]), configurable: true });
  try {
    const code = await command.run(args, {
      ...{ pool: world.subgraph.pool, folder: undefined },
      variables: (shape) => readEnv(shape, { SUBGRAPH_KEY: testSubgraphKey }),
      openBroker: () => Promise.reject(new Error('it needs no broker')),
    });
    return { code, printed };
  } finally {
    spy.mockRestore();
    Object.defineProperty(process, 'stdin', { value: stdin, configurable: true });
  }
};

const rolesOf = async (login: string) => {
  const { rows } = await world.subgraph.pool.query<{ roles: string[] }>(
    'SELECT roles FROM account WHERE login = $1',
    [login],
  );
  return rows[0]?.roles;
};

describe('npm run users', () => {
  it('create-admin opens an account with the password from standard input, and does not print it', async () => {
    const { code, printed } = await run(
      createAdmin,
      ['root.1', '--password-stdin', '--name', 'Root'],
      `${password}\nmore`,
    );
    expect({ code, printed }).toEqual({ code: 0, printed: 'The account root.1 has the role ADMIN.\n' });
    expect(await world.login('root.1')).toHaveProperty('accessToken');
    expect(await rolesOf('root.1')).toEqual(['ADMIN']);
  });

  it('create-admin makes a random password and prints it once', async () => {
    const { printed } = await run(createAdmin, ['root.2']);
    const [, generated = ''] = /not shown again: (\S+)$/m.exec(printed) ?? [];
    expect(generated).toMatch(/^[\w-]{24}$/);
    expect(await world.login('root.2', generated)).toHaveProperty('accessToken');
    expect((await run(createAdmin, ['root.3'])).printed).not.toContain(generated);
  });

  it('create-admin refuses a password that is too short, and a login that somebody has', async () => {
    await expect(run(createAdmin, ['root.4', '--password-stdin'], 'admin\n')).rejects.toThrow(
      /from 12 to 128/,
    );
    await world.register('somebody');
    await expect(run(createAdmin, ['Somebody'])).rejects.toThrow(/grant somebody ADMIN/);
    expect(await rolesOf('somebody')).toEqual([]);
    expect((await run(createAdmin, ['root.4', password])).code).toBe('usage');
  });

  it('grant and revoke change one role, and are harmless when they are repeated', async () => {
    await world.register('editor');
    await run(grant, ['editor', 'EDITOR']);
    await run(grant, ['Editor', 'EDITOR']);
    await run(grant, ['editor', 'ADMIN']);
    expect(await rolesOf('editor')).toEqual(['EDITOR', 'ADMIN']);
    const { printed } = await run(revoke, ['editor', 'ADMIN']);
    expect(printed).toContain('editor does not have the role ADMIN.');
    expect(await rolesOf('editor')).toEqual(['EDITOR']);
    await expect(run(grant, ['nobody', 'ADMIN'])).rejects.toThrow(/no account nobody/);
    expect((await run(grant, ['editor', 'USER'])).code).toBe('usage');
  });

  it('keys rotates, lists and replaces the signing keys', async () => {
    const list = async () => (await run(keys, ['list'])).printed.trim().split('\n');
    const [first = ''] = await list();
    expect(first).toMatch(/^\S+ signs, from /);
    await run(keys, ['rotate']);
    expect(await list()).toEqual([expect.stringMatching(/^\S+ will sign, from /), first]);
    await run(keys, ['replace']);
    const [replaced = '', ...others] = await list();
    expect(others).toEqual([]);
    expect(replaced).not.toBe(first);
    expect((await run(keys, ['burn'])).code).toBe('usage');
  });
});

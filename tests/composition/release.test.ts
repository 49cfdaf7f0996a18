import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compose } from '../../packages/cli/src/compose/command.js';
import { createReleasedFolder, filmsSchema } from '../support/compose-folder.js';

const root = join(import.meta.dirname, '../..');

let folder: Awaited<ReturnType<typeof createReleasedFolder>>;
beforeEach(async () => {
  folder = await createReleasedFolder();
});
afterEach(() => folder.remove());

describe('releasing', () => {
  it('compose --release updates the published schema and empties the accepted list except for its comment', async () => {
    await folder.checkAfter(['  year: Int\n', '']);
    folder.accept('FIELD_REMOVED', 'Film.year');
    expect(await folder.run('--release')).toMatchObject({
      code: 0,
      printed: expect.stringContaining('wrote published.graphql\nemptied supergraph.changes.yaml'),
    });
    expect(folder.get('published.graphql')).not.toContain('year: Int\n');
    expect(folder.get('supergraph.changes.yaml')).toBe('# What is accepted.\n');
    expect(await folder.run('--check')).toMatchObject({ code: 0, complained: '' });
    expect(await folder.run('--release')).toMatchObject({
      printed: expect.stringContaining('published.graphql is up to date'),
    });
  });

  it('compose --release refuses what the check refuses, and does not change the published schema', async () => {
    const before = folder.get('published.graphql');
    await folder.checkAfter(['  year: Int\n', '']);
    expect(await folder.run('--release')).toMatchObject({
      code: 1,
      complained: expect.stringContaining('Film.year  FIELD_REMOVED'),
    });
    folder.put('films/schema.graphql', filmsSchema.replace('Song {', 'Song {\n  text: String'));
    expect(await folder.run('--release')).toMatchObject({
      code: 1,
      complained: expect.stringContaining('is stale'),
    });
    expect(folder.get('published.graphql')).toBe(before);
  });

  it('compose --release cannot be combined with another mode', async () => {
    expect(await folder.run('--release', '--check')).toMatchObject({
      code: 2,
      complained: '--check and --release cannot be combined.',
    });
  });

  it('a published schema that was edited by hand is refused', async () => {
    const released = folder.get('published.graphql');
    await folder.checkAfter(['  year: Int\n', '']);
    folder.put('published.graphql', released.replace('  year: Int\n', ''));
    const edited = {
      code: 1,
      complained: expect.stringMatching(
        /^published\.graphql was changed since .+ --release wrote it.+Restore it from git/,
      ),
    };
    for (const mode of ['--check', '--release']) expect(await folder.run(mode)).toMatchObject(edited);
    // Line ends and layout do not count as an edit.
    folder.put('published.graphql', released.replaceAll('\n', '\r\n'));
    expect(await folder.checkAfter()).toMatchObject({ code: 0, complained: '' });
  });

  it('a published schema with a syntax error is refused with the location of the error', async () => {
    folder.put('published.graphql', `${folder.get('published.graphql')}\ntype {\n`);
    expect(await folder.run('--check')).toMatchObject({
      code: 1,
      complained: expect.stringMatching(
        /^published\.graphql:\d+:6 is not a valid schema: .+\n.+Restore it from git/,
      ),
    });
  });
});

describe('saved operations', () => {
  it('saved operations are validated, and each fault is printed with file and line', async () => {
    folder.put('examples/good.graphql', 'query Good {\n  film(id: 1) {\n    title\n  }\n}\n');
    folder.put('examples/more/bad.graphql', 'query Bad {\n  film(id: 1) {\n    titel\n    length\n  }\n}\n');
    folder.put('examples/cut.graphql', 'query Cut {\n  film(id: 1) {\n');
    folder.put('examples/node_modules/other/x.graphql', 'type');
    const { code, complained } = await folder.run('--check');
    expect(code).toBe(1);
    expect(complained).toContain('3 faults in the saved operations');
    expect(complained).toContain('examples/more/bad.graphql:3:5  Cannot query field "titel" on type "Film"');
    expect(complained).toContain('examples/more/bad.graphql:4:5  Cannot query field "length"');
    expect(complained).toContain('examples/cut.graphql:3:1  Syntax Error');
    expect(complained).not.toContain('good.graphql');
    folder.remove('examples/more');
    folder.remove('examples/cut.graphql');
    expect(await folder.run('--check')).toMatchObject({
      code: 0,
      printed: expect.stringContaining('operations in examples are valid: 1 files'),
    });
  });

  it('saved operations can use @defer as the gateway accepts it', async () => {
    const film = (fields: string) =>
      `query Late($late: Boolean!) {\n  film(id: 1) {\n    ${fields}\n  }\n}\n`;
    folder.put('examples/late.graphql', film('... @defer(if: $late, label: "title") {\n      title\n    }'));
    expect(await folder.run('--check')).toMatchObject({ code: 0, complained: '' });
    folder.put('examples/late.graphql', film('title @defer(if: $late)'));
    expect((await folder.run('--check')).complained).toContain(
      'examples/late.graphql:3:11  Directive "@defer" may not be used on FIELD.',
    );
    const twice = '... @defer(if: $late, label: "a") { title }';
    folder.put('examples/late.graphql', film(`${twice}\n    ${twice}`));
    expect((await folder.run('--check')).complained).toContain(
      'examples/late.graphql:4:9  Each label of @defer must be unique in the document.',
    );
  });

  it('saved operations cannot use what clients do not see', async () => {
    folder.put('examples/inside.graphql', '{ _service { sdl } film(id: 1) { __typename } }\n');
    expect((await folder.run('--check')).complained).toContain(
      'examples/inside.graphql:1:3  Cannot query field "_service"',
    );
  });
});

describe('our own graph', () => {
  it('our own graph is checked against its published schema, wherever the supergraph is written', async () => {
    expect(existsSync(join(root, 'gateway/published.graphql'))).toBe(true);
    const said: string[] = [];
    const say = (text: string) => void said.push(text);
    const elsewhere = ['--output', 'elsewhere.graphql'];
    expect(await compose(elsewhere, { folder: folder.path, variables: {}, print: say, complain: say })).toBe(
      0,
    );
    expect(
      await compose([...elsewhere, '--check'], {
        folder: folder.path,
        variables: {},
        print: say,
        complain: say,
      }),
    ).toBe(0);
    expect(said.join('\n')).toMatch(/no client of \S+\/gateway\/published\.graphql breaks/);
  });
});

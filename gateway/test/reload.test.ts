import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { readConfig } from '../src/config.js';
import { startGateway } from '../src/server.js';
import { startStubSubgraph, type StubSubgraph } from './support/stub-subgraph.js';
import { askAt, compose, createTestLog, startWorld } from './support/world.js';

type World = Awaited<ReturnType<typeof startWorld>>;

describe('a new supergraph file', () => {
  let world: World;
  let extra: StubSubgraph;
  beforeEach(async () => {
    world = await startWorld();
    extra = await startStubSubgraph({
      name: 'extra',
      typeDefs:
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9") type Query { news: String }',
      resolvers: { Query: { news: () => 'good' } },
    });
  });
  afterEach(async () => {
    await world.stop();
    await extra.stop();
  });

  const stubs = () => [world.things, world.scores];
  const widened = () => compose([...stubs(), extra]);
  const hasNews = async (url = world.url) => (await askAt(url, '{ news }')).body.data?.['news'] === 'good';
  const replaceBy = async (content: string) => {
    const next = path.join(world.folder, 'next.graphql');
    await writeFile(next, content);
    await rename(next, world.supergraphPath);
  };
  const logged = (message: string) => world.log.filter(({ msg }) => msg?.startsWith(message));

  /** Asks without a pause until told to stop; answers how many times, and every answer that was not whole. */
  const underLoad = (query: string, clients = 4) => {
    let going = true;
    let count = 0;
    const failed: string[] = [];
    const done = Promise.all(
      Array.from({ length: clients }, async () => {
        while (going) {
          const { status, text, body } = await world.ask(query);
          count += 1;
          if (status !== 200 || body.errors) failed.push(text);
        }
      }),
    );
    return async () => {
      going = false;
      await done;
      return { count, failed };
    };
  };

  it('a supergraph file that is replaced by a rename is served, and no request fails meanwhile', async () => {
    const stop = underLoad('{ things { name score } }');
    await replaceBy(widened());
    await until(hasNews);
    const { count, failed } = await stop();

    expect(failed).toEqual([]);
    expect(count).toBeGreaterThan(0);
    expect(logged('a new supergraph is served')).toHaveLength(1);
  });

  it('a supergraph file that is rewritten is served', async () => {
    await writeFile(world.supergraphPath, widened());

    await until(hasNews);
  });

  it('a supergraph file behind an exchanged symbolic link, as in a mounted ConfigMap, is served', async () => {
    const mount = path.join(world.folder, 'mount');
    const file = 'supergraph.graphql';
    const version = async (name: string, content: string) => {
      await mkdir(path.join(mount, name), { recursive: true });
      await writeFile(path.join(mount, name, file), content);
    };
    await version('..v1', compose(stubs()));
    await symlink('..v1', path.join(mount, '..data'));
    await symlink(path.join('..data', file), path.join(mount, file));
    const gateway = await startGateway(
      readConfig({ NODE_ENV: 'test', PORT: '0', SUPERGRAPH_PATH: path.join(mount, file) }),
      createTestLog().logger,
    );
    try {
      expect(await hasNews(gateway.url)).toBe(false);
      await version('..v2', widened());
      await symlink('..v2', path.join(mount, '..data_tmp'));
      await rename(path.join(mount, '..data_tmp'), path.join(mount, '..data'));
      await rm(path.join(mount, '..v1'), { recursive: true });

      await until(() => hasNews(gateway.url));
    } finally {
      await gateway.stop();
    }
  });

  it.each([
    ['is no GraphQL', () => 'not a supergraph {'],
    ['is cut off', () => widened().slice(0, -200)],
    ['is empty', () => ''],
    ['is a schema but no supergraph', () => 'type Query { a: Int }'],
    ['names a type that is not there', () => widened().replace('news: String', 'news: Nowhere')],
    [
      'needs a feature that cannot be executed',
      () =>
        widened().replace(
          '@link(url: "https://specs.apollo.dev/join/',
          '@link(url: "https://specs.example.org/lock/v1.0", for: SECURITY) @link(url: "https://specs.apollo.dev/join/',
        ),
    ],
  ])(
    'a new supergraph is refused with its reason, and the old one kept, when it %s',
    async (_what, content) => {
      const stop = underLoad('{ things { name score } }');
      await replaceBy(content());
      await until(() => logged('the new supergraph is refused').length > 0);
      const { failed } = await stop();

      expect(failed).toEqual([]);
      expect(logged('the new supergraph is refused')[0]?.['err']).toMatchObject({
        message: expect.stringMatching(/\w/),
      });
      expect((await fetch(`${world.url}/health/ready`)).status).toBe(200);

      await replaceBy(widened());
      await until(hasNews);
    },
  );

  it('a missing supergraph file leaves the old one served, and is loaded when it is back', async () => {
    await rm(world.supergraphPath);
    await until(() => logged('the supergraph file is missing').length > 0);
    expect((await world.ask('{ things { name } }')).body.errors).toBeUndefined();

    await writeFile(world.supergraphPath, widened());
    await until(hasNews);
  });

  it('a request under way ends on the supergraph it began with', async () => {
    let release = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      world.things.misbehave((response) => {
        world.things.misbehave(undefined);
        release = () =>
          void response
            .writeHead(200, { 'content-type': 'application/json' })
            .end('{"data":{"things":[{"__typename":"Thing","id":"1"}]}}');
        resolve();
      });
    });
    const answer = world.ask('{ things { id score } }');
    await begun;
    await replaceBy(compose([world.things, extra]));
    await until(hasNews);
    release();

    expect((await answer).body).toEqual({ data: { things: [{ id: '1', score: 10 }] } });
    expect((await world.ask('{ things { score } }')).status).toBe(400);
  });

  it('a new supergraph may move one subgraph, and keeps the connections of the others', async () => {
    await world.ask('{ things { id } }');
    await replaceBy(compose(stubs(), { scores: 'http://127.0.0.1:1/graphql' }));
    await until(async () => (await world.ask('{ things { score } }')).body.errors !== undefined);

    expect(world.things.connections()).toBe(1);
  });
});

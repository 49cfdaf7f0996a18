import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { readExamples, type Example } from './examples.js';
import { graphiqlPage, startScript } from './graphiql.js';

const startPage = (origin: string, examples: readonly Example[], hasDemoLogin: boolean): string => {
  const endpoint = `${origin}/graphql`;
  const sandbox = `https://studio.apollographql.com/sandbox/explorer?endpoint=${encodeURIComponent(endpoint)}`;
  const [first] = examples;
  const items = examples.map(
    ({ name, title }) =>
      `<li><a href="/graphiql?example=${encodeURIComponent(name)}">${escape(name)}</a> ${escape(title)}</li>`,
  );
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>GraphQL gateway</title>
    <link rel="icon" href="data:," />
    <style>
      :root { color-scheme: light dark; }
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
      pre { overflow-x: auto; padding: 1rem; border: 1px solid #8888; border-radius: 6px; }
      .run { display: inline-block; padding: .6rem 1.2rem; border-radius: 6px; background: #d60690; color: #fff; }
      li { margin: .25rem 0; }
    </style>
  </head>
  <body>
    <h1>GraphQL gateway</h1>
    <p>This server executes GraphQL operations at <code>${escape(endpoint)}</code>. One graph, composed from
      several subgraphs.</p>
    ${first ? `<p><a class="run" href="/graphiql?example=${encodeURIComponent(first.name)}">Open the first query</a></p>` : ''}
    <ul>
      <li><a href="/graphiql">GraphiQL</a>: write operations, and read the schema under “Docs”. Works offline.</li>
      <li><a href="${escape(sandbox)}">Apollo Sandbox</a>: needs internet access.</li>
      <li>Health: <a href="/health/live">live</a>, <a href="/health/ready">ready</a>, with the state of each subgraph.</li>
      <li>Documentation: <code>README.md</code> and <code>docs/</code> of the project.</li>
    </ul>
    ${items.length > 0 ? `<h2>Operations to try</h2>\n    <ul>\n      ${items.join('\n      ')}\n    </ul>` : ''}
    <h2>From a shell</h2>
    <pre>${escape(shellCommand(endpoint, first))}</pre>
    <h2>Who asks</h2>
    <p>The header <code>authorization: Bearer &lt;access token&gt;</code> says who asks; without it, nobody is signed in.
      ${hasDemoLogin ? '<a href="/graphiql">GraphiQL</a> logs in as the demo user with one click, and copies the header for Sandbox with another.' : 'Get a token from an issuer that <code>JWT_ISSUERS</code> names.'}</p>
  </body>
</html>
`;
};

const shellCommand = (endpoint: string, first: Example | undefined): string => {
  const query = (first?.query ?? '{ __typename }').replace(/\s+/g, ' ');
  const body = JSON.stringify({ query }).replaceAll("'", String.raw`'\''`);
  return `curl -s ${endpoint} -H 'content-type: application/json' \\\n  -d '${body}'`;
};

const escape = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Allows only content of this server; the editor also writes style elements, and its fonts are data URLs. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  'font-src data:',
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const script = 'text/javascript; charset=utf-8';

/** The files of GraphiQL as npm installs them: package, path in the package, media type. */
const assets: Readonly<Record<string, readonly [name: string, file: string, type: string]>> = {
  'react.js': ['react', 'umd/react.production.min.js', script],
  'react-dom.js': ['react-dom', 'umd/react-dom.production.min.js', script],
  'graphiql.js': ['graphiql', 'graphiql.min.js', script],
  'graphiql.css': ['graphiql', 'graphiql.min.css', 'text/css; charset=utf-8'],
};

/**
 * Adds the pages for people who try the graph: `/` says what this server is, and `/graphiql` is GraphiQL with
 * the saved operations of the folder `examplesPath` that are valid on the current schema. Everything is
 * served from local files, without any network access. The files of GraphiQL are development dependencies:
 * without them the page's scripts cannot be served. `demoLogin` is a login and a password with a colon
 * between, which anyone who reaches the gateway can read.
 */
export const addExplorer = (
  app: FastifyInstance,
  options: {
    readonly examplesPath: string;
    readonly demoLogin: string | undefined;
    readonly schema: () => GraphQLSchema | undefined;
  },
): void => {
  const examples = async (): Promise<readonly Example[]> => {
    const schema = options.schema();
    return schema ? readExamples(options.examplesPath, schema) : [];
  };
  const { resolve } = createRequire(import.meta.url);
  app.get('/', async (request, reply) =>
    sendPage(
      reply,
      startPage(`${request.protocol}://${request.host}`, await examples(), options.demoLogin !== undefined),
    ),
  );
  app.get('/graphiql', async (_request, reply) => sendPage(reply, graphiqlPage));
  app.get('/graphiql/start.js', async (_request, reply) =>
    reply
      // A page of another origin could otherwise run the script to read the password.
      .header('cross-origin-resource-policy', 'same-origin')
      .type(script)
      .send(startScript(await examples(), options.demoLogin)),
  );
  for (const [url, [name, file, type]] of Object.entries(assets)) {
    app.get(`/graphiql/${url}`, async (_request, reply) => {
      const folder = path.dirname(resolve(`${name}/package.json`));
      return reply.type(type).send(await readFile(path.join(folder, file)));
    });
  }
};

const sendPage = (reply: FastifyReply, page: string): FastifyReply =>
  reply.header('content-security-policy', contentSecurityPolicy).type('text/html; charset=utf-8').send(page);

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>GraphiQL</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/graphiql/graphiql.css" />
    <style>html, body, #graphiql { height: 100%; margin: 0; }</style>
  </head>
  <body>
    <div id="graphiql">Loading…</div>
    <script src="/graphiql/react.js"></script>
    <script src="/graphiql/react-dom.js"></script>
    <script src="/graphiql/graphiql.js"></script>
    <script src="/graphiql/start.js"></script>
  </body>
</html>
`;

/** Shows the operation of the page's `?query=`, so that a link can contain one. */
const start = `const query = new URLSearchParams(location.search).get('query') ?? undefined;
const fetcher = GraphiQL.createFetcher({ url: '/graphql' });
ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, { fetcher, query, defaultEditorToolsVisibility: true }),
);
`;

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
 * Adds GraphiQL at `/graphiql`, from the installed packages and without any network access. They are
 * development dependencies: without them the page's scripts cannot be served.
 */
export const addGraphiql = (app: FastifyInstance): void => {
  const { resolve } = createRequire(import.meta.url);
  app.get('/graphiql', async (_request, reply) =>
    reply
      .header('content-security-policy', contentSecurityPolicy)
      .header('referrer-policy', 'no-referrer')
      .type('text/html; charset=utf-8')
      .send(page),
  );
  app.get('/graphiql/start.js', async (_request, reply) => reply.type(script).send(start));
  for (const [url, [name, file, type]] of Object.entries(assets)) {
    app.get(`/graphiql/${url}`, async (_request, reply) => {
      const folder = path.dirname(resolve(`${name}/package.json`));
      return reply.type(type).send(await readFile(path.join(folder, file)));
    });
  }
};

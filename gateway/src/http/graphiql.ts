import type { Example } from './examples.js';

/** Logs in the demo user, at a graph that has such a mutation. */
const loginMutation =
  'mutation DemoLogin($login: String!, $password: String!) { login(login: $login, password: $password) { tokens { accessToken } } }';

/** The page with GraphiQL. A line above the editor says who is the viewer. */
export const graphiqlPage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>GraphiQL</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/graphiql/graphiql.css" />
    <style>
      html, body { height: 100%; margin: 0; }
      body { display: flex; flex-direction: column; font: 14px/1.5 system-ui, sans-serif; }
      #viewer { padding: .3rem 1rem; background: #222; color: #fff; }
      #viewer button { margin-left: .5rem; font: inherit; cursor: pointer; }
      #graphiql { flex: 1; min-height: 0; }
    </style>
  </head>
  <body>
    <div id="viewer">
      <span id="state"></span>
      <button id="login" hidden>Log in as the demo user</button>
      <button id="copy" hidden>Copy the header for Sandbox</button>
    </div>
    <div id="graphiql">Loading…</div>
    <script src="/graphiql/react.js"></script>
    <script src="/graphiql/react-dom.js"></script>
    <script src="/graphiql/graphiql.js"></script>
    <script src="/graphiql/start.js"></script>
  </body>
</html>
`;

/**
 * Returns the script that opens GraphiQL: with the operation of `?query=` or `?example=`, or else with what
 * the browser remembers, at first with the first example. With `demoLogin`, which is a login and a password
 * with a colon between, a button logs in and fills in the header with the access token. The button is shown
 * again when a response says UNAUTHENTICATED.
 */
export const startScript = (
  examples: readonly Example[],
  demoLogin: string | undefined,
): string => `const examples = ${JSON.stringify(examples)};
const demo = ${JSON.stringify(demoLogin === undefined ? null : credentialsOf(demoLogin))};
const parameters = new URLSearchParams(location.search);
const example = examples.find(({ name }) => name === parameters.get('example'));
const asked = example ?? (parameters.has('query') ? { query: parameters.get('query') } : undefined);
const first = examples[0] ?? { query: '{ __typename }' };
const [state, login, copy] = ['state', 'login', 'copy'].map((id) => document.getElementById(id));
const root = ReactDOM.createRoot(document.getElementById('graphiql'));
let token;

const show = (text) => {
  state.textContent = text;
  login.hidden = demo === null || token !== undefined;
  copy.hidden = token === undefined;
};
const signOut = (reason) => {
  token = undefined;
  show(reason + (demo ? '' : ' Add a header to sign in: {"authorization": "Bearer <access token>"}'));
};
const fetcher = GraphiQL.createFetcher({
  url: '/graphql',
  fetch: async (...request) => {
    const response = await fetch(...request);
    const text = await response.clone().text();
    if (/"code":"UNAUTHENTICATED"/.test(text)) signOut('This needs a viewer.');
    return response;
  },
});
const render = () => {
  const headers = token === undefined ? undefined : JSON.stringify({ authorization: token });
  root.render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultEditorToolsVisibility: 'headers',
      ...(headers && { headers, defaultHeaders: headers }),
      ...(asked
        ? { query: asked.query, variables: asked.variables ?? '' }
        : { defaultTabs: [{ query: first.query, variables: first.variables ?? '' }] }),
    }),
  );
};

login.onclick = async () => {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: ${JSON.stringify(loginMutation)}, variables: demo }),
  });
  const { data, errors } = await response.json();
  if (!data?.login) {
    signOut('The login failed: ' + errors?.[0]?.message);
    return;
  }
  token = 'Bearer ' + data.login.tokens.accessToken;
  render();
  show('The demo user is the viewer, while the header authorization is there.');
};
copy.onclick = () => navigator.clipboard.writeText(JSON.stringify({ authorization: token }));
render();
signOut('Nobody is signed in.');
`;

const credentialsOf = (demoLogin: string) => {
  const colon = demoLogin.indexOf(':');
  return { login: demoLogin.slice(0, colon), password: demoLogin.slice(colon + 1) };
};

import { join } from 'node:path';
import { openSecrets } from '@cinegraph/local/secrets';
import { systemClock } from '@cinegraph/service/clock';
import { createIdentitySigner, identityHeader } from '@cinegraph/service/identity';
import { reasonOf, say } from '@cinegraph/service/terminal';

/** The subgraph that owns the accounts and issues access tokens. */
export const usersSubgraph = 'users';

/** The variables by which users and the gateway agree on the claims `iss` and `aud` of access tokens. */
export const tokenVariables = {
  TOKEN_ISSUER: 'urn:cinegraph:users',
  TOKEN_AUDIENCE: 'urn:cinegraph:graph',
} as const;

/**
 * Returns `JWT_ISSUERS` of a gateway that accepts the access tokens of users at this URL, and those of
 * `others`, which are the issuers that the environment names. Each of these needs a `viewerPrefix`.
 */
export const jwtIssuersOf = (usersUrl: string, others: string | undefined): string => {
  const users = JSON.stringify({
    issuer: tokenVariables.TOKEN_ISSUER,
    audience: tokenVariables.TOKEN_AUDIENCE,
    jwksUrl: `${usersUrl}/.well-known/jwks.json`,
    typ: 'at+jwt',
  });
  // The gateway judges the whole text, so that it can name what is wrong.
  return others === undefined || others.trim() === ''
    ? `[${users}]`
    : others.replace(/\s*\]\s*$/, `,${users}]`);
};

/** The demo user of this clone. */
export interface DemoUser {
  readonly login: string;
  readonly password: string;
  /** Whether the account was opened now. */
  readonly isNew: boolean;
}

/**
 * Opens the account of the demo user, unless it exists. Its password is random, made once for each data
 * folder, and kept there in a file that only its owner may read. Returns undefined, and says why, if users
 * does not accept the account: the graph runs without it.
 */
export const ensureDemoUser = async (options: {
  readonly usersUrl: string;
  readonly key: string;
  readonly data: string;
  readonly signal: AbortSignal;
}): Promise<DemoUser | undefined> => {
  const { usersUrl, key, data, signal } = options;
  const login = 'demo';
  const password = await openSecrets(join(data, 'secrets.json')).get('demo-user');
  try {
    const response = await fetch(`${usersUrl}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [identityHeader]: createIdentitySigner(key, usersSubgraph, systemClock)(null),
      },
      body: JSON.stringify({
        query: 'mutation ($input: RegisterInput!) { register(input: $input) { me { login } } }',
        variables: { input: { login, password, name: 'Demo' } },
      }),
      signal,
    });
    const { errors } = (await response.json()) as {
      errors?: readonly { message: string; extensions?: { code?: string } }[];
    };
    const [error] = errors ?? [];
    if (error === undefined) return { login, password, isNew: true };
    if (error.extensions?.code === 'LOGIN_TAKEN') return { login, password, isNew: false };
    throw new Error(error.message);
  } catch (error) {
    signal.throwIfAborted();
    say(`There is no demo user: ${reasonOf(error)}`);
    return undefined;
  }
};

/** Prints the demo user's login and password, and how to get an access token with them. */
export const printDemoUser = (gatewayUrl: string, { login, password }: DemoUser): void => {
  const query = `mutation { login(login: "${login}", password: "${password}") { tokens { accessToken } } }`;
  say(`A demo user was made, whose password is shown this once. It is kept in secrets.json of the data folder.

  login ${login}, password ${password}

An access token for the header authorization: Bearer …, valid for ten minutes:

  curl -s ${gatewayUrl}/graphql -H 'content-type: application/json' -d '${JSON.stringify({ query })}'

The demo user may rate. With the role EDITOR it may also change the catalogue, from its next login on:

  npm run users -- grant ${login} EDITOR
`);
};

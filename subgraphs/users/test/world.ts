import { startTestSubgraph, type GraphQLAnswer, type TestSubgraph } from '@cinegraph/testing/subgraph';
import type { Clock } from '@cinegraph/service/clock';
import type { MeModel, TokensModel } from '../src/models.js';
import { users } from '../src/subgraph.js';

/** The password of the accounts that tests open. */
export const password = 'correct horse battery';

const tokensOf = 'tokens { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }';

/** Starts users on its own database, and returns it with functions that send its mutations. */
export const usersWorld = async (
  options: { clock?: Clock; databaseUrl?: string; mode?: 'test' | 'production' } = {},
) => {
  const subgraph = await startTestSubgraph(users, options);
  return { subgraph, ...actions(subgraph) };
};

/** Returns the code of the first error of an answer, or undefined if it has none. */
export const codeOf = ({ errors }: GraphQLAnswer): unknown => errors?.[0]?.extensions?.['code'];

const actions = ({ ask }: TestSubgraph) => {
  /** Returns the only field of an answer. Throws if the answer has errors. */
  const fieldOf = async <Field>(asked: Promise<GraphQLAnswer>): Promise<Field> => {
    const { data, errors } = await asked;
    if (errors) throw new Error(JSON.stringify(errors));
    return Object.values(data ?? {})[0] as Field;
  };
  const attempt = {
    register: (login: string, more: Record<string, unknown> = {}, key: string | null = null) =>
      ask(
        `mutation ($input: RegisterInput!, $key: String) {
          register(input: $input, idempotencyKey: $key) { me { user { id } login name lastName roles createdAt } }
        }`,
        { input: { login, password, name: 'Ann', ...more }, key },
      ),
    login: (login: string, secret = password) =>
      ask(
        `mutation ($login: String!, $password: String!) {
          login(login: $login, password: $password) { ${tokensOf} me { user { id } login } }
        }`,
        { login, password: secret },
      ),
    refresh: (refreshToken: string) =>
      ask(`mutation ($token: String!) { refresh(refreshToken: $token) { ${tokensOf} } }`, {
        token: refreshToken,
      }),
    logout: (refreshToken: string) =>
      ask('mutation ($token: String!) { logout(refreshToken: $token) { ended } }', { token: refreshToken }),
    logoutEverywhere: (viewer: string, key: string | null = null) =>
      ask(
        'mutation ($key: String) { logoutEverywhere(idempotencyKey: $key) { endedSessions } }',
        { key },
        { viewer },
      ),
    changePassword: (viewer: string, current: string, next: string, key: string | null = null) =>
      ask(
        `mutation ($current: String!, $next: String!, $key: String) {
          changePassword(currentPassword: $current, newPassword: $next, idempotencyKey: $key) { endedSessions }
        }`,
        { current, next, key },
        { viewer },
      ),
    deleteAccount: (viewer: string, secret = password, key: string | null = null) =>
      ask(
        `mutation ($password: String!, $key: String) {
          deleteAccount(password: $password, idempotencyKey: $key) { deletedUserId }
        }`,
        { password: secret, key },
        { viewer },
      ),
    updateProfile: (viewer: string, input: Record<string, unknown>, key: string | null = null) =>
      ask(
        `mutation ($input: UpdateProfileInput!, $key: String) {
          updateProfile(input: $input, idempotencyKey: $key) { me { name lastName } }
        }`,
        { input, key },
        { viewer },
      ),
  };
  return {
    /** The mutations; each returns the whole answer, with its errors. */
    attempt,
    /** Opens an account, and returns its id. */
    register: async (login: string, more: Record<string, unknown> = {}): Promise<string> => {
      const { me } = await fieldOf<{ me: { user: { id: string } } }>(attempt.register(login, more));
      return me.user.id;
    },
    login: async (login: string, secret = password): Promise<TokensModel> =>
      (await fieldOf<{ tokens: TokensModel }>(attempt.login(login, secret))).tokens,
    refresh: async (refreshToken: string): Promise<TokensModel> =>
      (await fieldOf<{ tokens: TokensModel }>(attempt.refresh(refreshToken))).tokens,
    me: async (viewer: string): Promise<MeModel | null> =>
      fieldOf<MeModel | null>(
        ask('{ me { user { id name } login name lastName roles createdAt } }', {}, { viewer }),
      ),
  };
};

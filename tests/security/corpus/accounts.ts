import { expect } from '@jest/globals';
import type { Answer, Tools } from './attack.js';

/** The password of the accounts of the corpus. */
const password = 'correct horse battery';

/** The tokens of a session. */
export interface Session {
  readonly accessToken: string;
  readonly refreshToken: string;
}

let addresses = 0;

/** Returns the address of a client that has sent nothing, and so has its whole budget. */
const nextAddress = (): string => `127.0.100.${(addresses = (addresses % 250) + 1)}`;

/** Opens an account. */
export const register = ({ ask }: Pick<Tools, 'ask'>, name: string): Promise<Answer> =>
  ask({
    query: 'mutation ($input: RegisterInput!) { register(input: $input) { me { login } } }',
    variables: { input: { login: name, password, name } },
    from: nextAddress(),
  });

/** Logs in with the password of the corpus. */
export const login = ({ ask }: Pick<Tools, 'ask'>, name: string): Promise<Answer> =>
  ask({
    query:
      'mutation ($login: String!, $password: String!) { login(login: $login, password: $password) { tokens { accessToken refreshToken } } }',
    variables: { login: name, password },
    from: nextAddress(),
  });

/** Opens an account and a session of it. */
export const signIn = async (tools: Pick<Tools, 'ask'>, name: string): Promise<Session> => {
  expect((await register(tools, name)).errors).toEqual([]);
  const { data } = await login(tools, name);
  return (data as { login: { tokens: Session } }).login.tokens;
};

/** Returns the codes of the errors of a response. */
export const codesOf = ({ errors }: Answer): readonly unknown[] =>
  errors.map(({ extensions }) => extensions['code']);

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from '@jest/globals';
import {
  claimsOf,
  ed,
  encode,
  jwk,
  now,
  rsa,
  stranger,
  theirToken,
  tokenOf,
} from '../../../gateway/test/support/tokens.js';
import { registerAuthorization } from './authorization.js';
import { codesOf, login, register, signIn } from './accounts.js';
import { section, type Tools } from './attack.js';

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Sends each token, which must be refused without a fetch. */
const refuse = async ({ attack }: Tools, tokens: readonly string[]) => {
  for (const token of tokens) {
    const { text } = await attack(
      { query: '{ topRated(first: 1) { totalCount } }', headers: bearer(token) },
      { status: 401, code: 'UNAUTHENTICATED' },
    );
    expect(text).not.toContain(token);
  }
};

/** Registers the cases 65 to 81. */
export const authentication = (): void =>
  section('Authentication and authorization', (test) => {
    test(
      65,
      'a field that needs a viewer is refused for nobody, and other fields are answered',
      async ({ attack }) => {
        const query = '{ myRatings { totalCount } topRated(first: 1) { totalCount } }';
        const { data, errors } = await attack(
          { query },
          { status: 200, code: 'UNAUTHENTICATED', fetches: true },
        );
        expect(data).toEqual({ myRatings: null, topRated: { totalCount: expect.any(Number) } });
        expect(errors).toHaveLength(1);
      },
    );

    test(66, 'a token without a signature is refused, whichever way none is written', async (tools) => {
      await refuse(
        tools,
        ['none', 'None', 'nOnE', 'NONE', ''].flatMap((alg) => {
          const text = `${encode({ alg, kid: 'ed', typ: 'at+jwt' })}.${encode(claimsOf())}`;
          return [`${text}.`, `${text}.AAAA`, text];
        }),
      );
    });

    test(67, 'HS256 with a public key as its secret is refused', async (tools) => {
      const secrets = [rsa.publicKey, ed.publicKey].flatMap((key) => [
        key.export({ type: 'spki', format: 'pem' }),
        key.export({ type: 'spki', format: 'der' }),
        JSON.stringify(key.export({ format: 'jwk' })),
      ]);
      await refuse(
        tools,
        secrets.flatMap((secret) =>
          ['rsa', 'ed'].map((kid) => {
            const text = `${encode({ alg: 'HS256', kid, typ: 'at+jwt' })}.${encode(claimsOf())}`;
            return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
          }),
        ),
      );
    });

    test(68, 'a token of another time, issuer or audience, or without an end, is refused', async (tools) => {
      const wrong = [
        { exp: now() - 61 },
        { nbf: now() + 90 },
        { iss: 'https://other.test' },
        { iss: undefined },
        { aud: 'other' },
        { aud: undefined },
        { exp: undefined },
        { exp: 'tomorrow' },
        { sub: undefined },
      ];
      await refuse(tools, [
        ...wrong.map((claims) => tokenOf(claimsOf(claims))),
        theirToken({}, { typ: 'JWT' }),
        tokenOf(claimsOf({ iss: 'urn:cinegraph:users', aud: 'urn:cinegraph:graph' })),
      ]);
    });

    test(69, 'a token that was changed is refused', async (tools) => {
      const { accessToken } = await signIn(tools, 'changed');
      const [header = '', claims = '', signature = ''] = accessToken.split('.');
      const payload = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
      const more = encode({ ...payload, scope: 'catalogue:write users:admin' });
      await refuse(tools, [
        `${header}.${more}.${signature}`,
        `${header}.${claims}.${signature.slice(0, -4)}`,
        `${header}.${claims}.`,
        `${header}.${claims}.${signature}.${signature}`,
        `${header}.${claims}.${encode('x')}`,
        JSON.stringify({ payload: claims, signatures: [{ protected: header, signature }] }),
      ]);
      const me = await tools.attack(
        { query: '{ me { login } }', headers: bearer(accessToken) },
        { status: 200, fetches: true },
      );
      expect(me.data).toEqual({ me: { login: 'changed' } });
    });

    test(70, 'a kid that is a path, SQL or 10 KB is refused', async (tools) => {
      const kids = [
        '../../../../etc/passwd',
        '/dev/null',
        `' UNION SELECT 'x' --`,
        'x'.repeat(10_000),
        '',
        '__proto__',
        7,
        null,
      ];
      await refuse(tools, [
        ...kids.map((kid) => tokenOf(claimsOf(), { kid }, stranger.privateKey)),
        ...kids.map(
          (kid) =>
            `${encode({ alg: 'HS256', kid })}.${encode(claimsOf())}.${createHmac('sha256', '').update('').digest('base64url')}`,
        ),
      ]);
    });

    test(71, 'keys that a token brings or names are ignored and not requested', async (tools) => {
      let requests = 0;
      const listener = createServer((_request, response) =>
        response.end(JSON.stringify({ keys: [jwk(stranger.publicKey, 'ed')] })),
      );
      listener.on('connection', () => (requests += 1));
      await once(listener.listen(0, '127.0.0.1'), 'listening');
      const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/keys`;
      const headers = [
        { jku: url },
        { x5u: url },
        { jwk: jwk(stranger.publicKey, 'ed') },
        { x5c: ['MIIB'] },
        { jku: url, kid: 'x' },
        { crit: ['x'], x: 1 },
      ];
      await refuse(
        tools,
        headers.map((header) => tokenOf(claimsOf(), header, stranger.privateKey)),
      );
      await refuse(tools, [tokenOf(claimsOf({ iss: url }), {}, stranger.privateKey)]);
      expect(requests).toBe(0);
      listener.close();
      listener.closeAllConnections();
    });

    registerAuthorization(test);

    test(
      78,
      '100 logins under aliases in one request are refused, and 11 count as 11',
      async ({ attack, note }) => {
        const logins = (count: number) =>
          `mutation { ${Array.from({ length: count }, (_, n) => `a${n}: login(login: "ann", password: "guess ${n} of many") { me { login } }`).join(' ')} }`;
        await attack(
          { query: logins(100), from: '127.0.78.1' },
          { status: 400, code: 'OPERATION_TOO_COMPLEX' },
        );
        await attack({ query: logins(11), from: '127.0.78.2' }, { status: 429, code: 'RATE_LIMITED' });
        const { errors } = await attack(
          { query: logins(9), from: '127.0.78.3' },
          { status: 200, fetches: true },
        );
        const codes = errors.map(({ extensions }) => extensions['code']);
        note(`of 9: ${codes.filter((code) => code === 'INVALID_CREDENTIALS').length} verified`);
        expect(codes.filter((code) => code === 'INVALID_CREDENTIALS').length).toBeLessThanOrEqual(1);
        await attack({ query: logins(2), from: '127.0.78.3' }, { status: 429, code: 'RATE_LIMITED' });
      },
    );

    test(79, 'a burst of 500 is refused with Retry-After, by address and by viewer', async (tools) => {
      await burst(tools);
    });

    test(
      81,
      'a session that was ended gets no tokens, and an access token lives ten minutes',
      async (tools) => {
        const { accessToken, refreshToken } = await signIn(tools, 'ended');
        const { iat, exp } = JSON.parse(
          Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString(),
        ) as Record<string, number>;
        expect((exp ?? 0) - (iat ?? 0)).toBe(600);
        const { attack } = tools;
        const change = await attack(
          {
            query:
              'mutation { changePassword(currentPassword: "correct horse battery", newPassword: "another horse battery") { endedSessions } }',
            headers: bearer(accessToken),
          },
          { status: 200, fetches: true },
        );
        expect(change.data).toEqual({ changePassword: { endedSessions: 1 } });
        const refresh = {
          query: 'mutation ($t: String!) { refresh(refreshToken: $t) { tokens { accessToken } } }',
          variables: { t: refreshToken },
        };
        await attack(refresh, { status: 200, code: 'REFRESH_TOKEN_INVALID', fetches: true });
        expect(codesOf(await login(tools, 'ended'))).toEqual(['INVALID_CREDENTIALS']);
        const deleted = await attack(
          {
            query: 'mutation { deleteAccount(password: "another horse battery") { deletedUserId } }',
            headers: bearer(accessToken),
          },
          { status: 200, fetches: true },
        );
        expect(deleted.errors).toEqual([]);
        const me = await attack(
          { query: '{ me { login } }', headers: bearer(accessToken) },
          { status: 200, fetches: true },
        );
        expect(me.data).toEqual({ me: null });
        expect(codesOf(await register(tools, 'ended'))).toEqual([]);
      },
    );
  });

/** Sends 500 operations to a gateway with a small budget, from one address and by one viewer. */
const burst = async ({ stack, ask, attack, note }: Tools) => {
  const url = await stack.startGateway({ BUDGET_COST_PER_MINUTE: '100' });
  const viewer = bearer(tokenOf());
  const query = '{ topRated(first: 1) { totalCount } }';
  const clients = {
    address: () => ({ from: '127.0.79.1' }),
    viewer: (n: number) => ({ from: `127.0.80.${1 + (n % 200)}`, headers: viewer }),
  };
  for (const [kind, clientOf] of Object.entries(clients)) {
    const statuses: number[] = [];
    for (let at = 0; at < 500; at += 25) {
      const answers = Array.from({ length: 25 }, (_, n) => ask({ query, url, ...clientOf(at + n) }));
      statuses.push(...(await Promise.all(answers)).map(({ status }) => status));
    }
    const served = statuses.filter((status) => status === 200).length;
    expect(statuses.every((status) => status === 200 || status === 429)).toBe(true);
    expect(served).toBeGreaterThan(0);
    expect(served).toBeLessThan(200);
    note(`${served} of 500 served by ${kind}`);
    // The budget of the first case is full again in parts by now; a request that costs all of it is refused.
    const { headers } = await attack(
      { query: '{ topRated(first: 100) { nodes { id title } } }', url, ...clientOf(1) },
      { status: 429, code: 'RATE_LIMITED' },
    );
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    await attack({ query, url, from: '127.0.79.2' }, { status: 200, fetches: true });
  }
};

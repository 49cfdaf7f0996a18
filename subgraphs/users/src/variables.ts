import { z } from 'zod';

const name = (text: string) =>
  z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, 'must have 1 to 200 printable ASCII characters, without spaces')
    .default(text);

/**
 * The variables that only users reads: the claims `iss` and `aud` of access tokens. `JWT_ISSUERS` of the
 * gateway must have the same values.
 */
export const tokenVariables = {
  TOKEN_ISSUER: name('urn:cinegraph:users'),
  TOKEN_AUDIENCE: name('urn:cinegraph:graph'),
};

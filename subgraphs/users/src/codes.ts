/**
 * The codes of the refusals that only users has. `ErrorCode` in the schema lists these and those of
 * packages/service.
 */
export const codes = {
  invalidCredentials: 'INVALID_CREDENTIALS',
  loginTaken: 'LOGIN_TAKEN',
  refreshTokenInvalid: 'REFRESH_TOKEN_INVALID',
  refreshTokenReused: 'REFRESH_TOKEN_REUSED',
  accountNotFound: 'ACCOUNT_NOT_FOUND',
} as const;

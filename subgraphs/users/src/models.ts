/** A person with an account, as everybody sees it. The name is missing in a reference of another subgraph. */
export interface UserModel {
  readonly id: string;
  readonly name: string;
}

/** The roles that an account may be granted. Each account has USER besides. */
export const grantableRoles = ['EDITOR', 'ADMIN'] as const;

/** A role of an account. */
export type RoleName = 'USER' | (typeof grantableRoles)[number];

/**
 * An account, as its owner sees it. Times are RFC 3339 text, because an answer is stored as plain JSON for
 * its idempotency key.
 */
export interface MeModel extends UserModel {
  readonly login: string;
  readonly lastName: string | null;
  readonly roles: readonly RoleName[];
  readonly createdAt: string;
}

/** The tokens of a session. Times are RFC 3339 text. */
export interface TokensModel {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: string;
  readonly refreshToken: string;
  readonly refreshTokenExpiresAt: string;
}

/** The TypeScript types of the scalars that the schema defines. */
export interface ScalarTypes {
  readonly DateTime: string;
}

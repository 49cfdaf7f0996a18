import { refusalCode, Refusal } from '@cinegraph/service/refusal';
import { codes } from './codes.js';
import type { RoleName } from './models.js';

const minPasswordLength = 12;
const maxPasswordLength = 128;
const maxNameLength = 100;

/**
 * Returns the login in lower case, the form in which it is stored and compared, or undefined if no account
 * can have it.
 */
export const toLogin = (text: string): string | undefined => {
  const login = text.toLowerCase();
  return /^[a-z0-9][a-z0-9._+@-]{2,63}$/.test(login) && /^[\x21-\x7e]+$/.test(text) ? login : undefined;
};

/** Returns how many characters a text has: code points, not UTF-16 units. */
const lengthOf = (text: string): number => Array.from(text).length;

/** Returns the login of a new account in lower case. Throws the refusal `BAD_USER_INPUT`. */
export const checkLogin = (text: string): string => {
  const login = toLogin(text);
  if (login !== undefined) return login;
  throw new Refusal(
    refusalCode.badUserInput,
    'A login has 3 to 64 letters from a to z, digits, or characters of . _ - + @, and begins with a letter or digit. Choose another one.',
    { field: 'login' },
  );
};

/** Returns whether a password is longer than any account's. Nothing is computed of such a password. */
export const isTooLong = (password: string): boolean => {
  // A character has two UTF-16 units at most.
  if (password.length > 2 * maxPasswordLength) return true;
  return lengthOf(password) > maxPasswordLength;
};

/**
 * Checks a new password, before it is hashed: 12 to 128 characters, 512 bytes at most, and not the login.
 * Throws the refusal `BAD_USER_INPUT`, which names the argument `field`.
 */
export const checkPassword = (password: string, login: string, field: string): void => {
  if (isTooLong(password) || lengthOf(password) < minPasswordLength) {
    throw new Refusal(
      refusalCode.badUserInput,
      `A password has from ${minPasswordLength} to ${maxPasswordLength} characters. Choose another one.`,
      { field },
    );
  }
  if (password.toLowerCase() === login) {
    throw new Refusal(refusalCode.badUserInput, 'The password is the login. Choose another one.', { field });
  }
};

/**
 * Returns a name without spaces at its ends: 1 to 100 characters, none of them a control character. Throws
 * the refusal `BAD_USER_INPUT`.
 */
export const checkName = (text: string, field: string): string => {
  const name = text.length > 4 * maxNameLength ? '' : text.trim().normalize('NFC');
  const length = lengthOf(name);
  if (length >= 1 && length <= maxNameLength && !/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(name))
    return name;
  throw new Refusal(
    refusalCode.badUserInput,
    `A name has from 1 to ${maxNameLength} characters, none of them a control character. Choose another one.`,
    { field },
  );
};

/** Returns the refusal for an unknown login and for a wrong password; which a client cannot distinguish. */
export const invalidCredentials = (): Refusal =>
  new Refusal(codes.invalidCredentials, 'Login and password do not belong together. Check both.');

/** Returns the refusal for a viewer without an account. */
export const accountNotFound = (): Refusal =>
  new Refusal(codes.accountNotFound, 'You have no account here. Log in again, or register.');

/** Returns the roles of an account to which these were granted. */
export const rolesOf = (granted: readonly string[]): readonly RoleName[] => [
  'USER',
  ...(['EDITOR', 'ADMIN'] as const).filter((role) => granted.includes(role)),
];

/** Returns the OAuth scopes that the roles of an account give its access tokens. */
export const scopesOf = (granted: readonly string[]): readonly string[] => {
  const isAdmin = granted.includes('ADMIN');
  return [
    ...(isAdmin || granted.includes('EDITOR') ? ['catalogue:write'] : []),
    ...(isAdmin ? ['users:admin'] : []),
  ];
};

import { describe, expect, it } from '@jest/globals';
import { checkName, checkPassword, rolesOf, scopesOf, toLogin } from './rules.js';

describe('the rules of accounts', () => {
  it.each([
    ['Ann.Lee', 'ann.lee'],
    ['ann+movies@example.org', 'ann+movies@example.org'],
    ['0_0', '0_0'],
    ['.ann', undefined],
    ['ann lee', undefined],
    ['a'.repeat(65), undefined],
    // The Kelvin sign becomes an ASCII k in lower case.
    ['mar\u212a', undefined],
  ])('the login %j is stored as %j', (text, login) => {
    expect(toLogin(text)).toBe(login);
  });

  it('the length of a password is that of its characters, not of its UTF-16 units', () => {
    expect(() => checkPassword('\u{1f600}'.repeat(11), 'ann', 'password')).toThrow(/from 12 to 128/);
    expect(() => checkPassword('\u{1f600}'.repeat(128), 'ann', 'password')).not.toThrow();
    expect(() => checkPassword('\u{1f600}'.repeat(129), 'ann', 'password')).toThrow(/from 12 to 128/);
  });

  it('a name has no control character that changes the direction of the text around it', () => {
    expect(() => checkName('Ann\u202eeeL', 'name')).toThrow(/control character/);
    expect(checkName(' Zoë ', 'name')).toBe('Zoë');
  });

  it.each([
    [[], ['USER'], []],
    [['EDITOR'], ['USER', 'EDITOR'], ['catalogue:write']],
    [['ADMIN'], ['USER', 'ADMIN'], ['catalogue:write', 'users:admin']],
    [
      ['ADMIN', 'EDITOR'],
      ['USER', 'EDITOR', 'ADMIN'],
      ['catalogue:write', 'users:admin'],
    ],
  ])('the granted roles %j are shown as %j and give the scopes %j', (granted, roles, scopes) => {
    expect(rolesOf(granted)).toEqual(roles);
    expect(scopesOf(granted)).toEqual(scopes);
  });
});

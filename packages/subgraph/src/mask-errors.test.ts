import { describe, expect, it } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { isConflict, isDuplicate, isUnavailable } from '@cinegraph/database/store-errors';
import { maskErrors } from './mask-errors.js';
import { Refusal } from '@cinegraph/service/refusal';
import { createLogger } from '@cinegraph/service/logger';

const mask = maskErrors(createLogger({ name: 'test', level: 'silent' }), { hidesSchema: true });
const shown = (error: Error) => {
  const wrapped = new GraphQLError(error.message, { originalError: error, path: ['a', 0] });
  return mask({ ...wrapped.toJSON(), extensions: { ...wrapped.extensions } }, wrapped);
};

describe('the mask', () => {
  it('the mask keeps the message, code and details of a refusal, and nothing else', () => {
    expect(shown(new Refusal('VERSION_CONFLICT', 'Read again.', { currentVersion: 3 }))).toEqual({
      message: 'Read again.',
      path: ['a', 0],
      extensions: { code: 'VERSION_CONFLICT', details: { currentVersion: 3 } },
    });
  });

  it('the mask shows an unexpected error as "Internal error", whatever its message', () => {
    const fault = Object.assign(new Error('relation "movie" at 10.0.0.1:5432'), { secret: 'x' });
    expect(shown(fault)).toEqual({
      message: 'Internal error',
      path: ['a', 0],
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    });
  });

  it('the mask shows an unavailable store as STORE_UNAVAILABLE, without its address', () => {
    const answer = shown(
      Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' }),
    );
    expect(answer.extensions).toEqual({ code: 'STORE_UNAVAILABLE' });
    expect(answer.message).not.toContain('10.0.0.1');
  });
});

describe('a suggestion of a name', () => {
  it('the mask removes a suggestion from a fault of the request, and keeps what a refusal says', () => {
    const message = 'Field "titel" is not defined by type "MovieInput". Did you mean "title"?';
    const fault = new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
    expect(mask(fault.toJSON(), fault).message).toBe('Field "titel" is not defined by type "MovieInput".');
    expect(shown(new Refusal('MOVIE_NOT_FOUND', 'Did you mean it? Did you mean "Heat"?')).message).toBe(
      'Did you mean it? Did you mean "Heat"?',
    );
  });
});

describe('an error of the store', () => {
  it.each([
    { code: '57P01' },
    { code: '57014' },
    { code: '53300' },
    { code: '25006' },
    { message: 'Query read timeout' },
    { code: '08006' },
    { code: 'P2024' },
    { message: 'Connection terminated unexpectedly' },
    { message: 'timeout exceeded when trying to connect' },
    { code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '57P03' } } } },
    { code: 'P2010', meta: { driverAdapterError: { cause: { kind: 'DatabaseNotReachable' } } } },
    { errors: [{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }] },
  ])('%j means that the store is unavailable', (error) => {
    expect(isUnavailable(error)).toBe(true);
    expect(isConflict(error)).toBe(false);
  });

  it.each([{ code: '23505' }, { code: '42P01' }, { message: 'no such column' }, null, 'text'])(
    '%j does not mean that the store is unavailable',
    (error) => {
      expect(isUnavailable(error)).toBe(false);
    },
  );

  it('an error is a conflict if its cause is a deadlock or serialization failure', () => {
    expect(isConflict({ code: '40001' })).toBe(true);
    expect(isConflict({ cause: { cause: { originalCode: '40P01' } } })).toBe(true);
  });

  it('an error is a duplicate only if a unique key was taken', () => {
    expect(isDuplicate({ code: 'P2002' })).toBe(true);
    expect(isDuplicate({ meta: { driverAdapterError: { cause: { originalCode: '23505' } } } })).toBe(true);
    expect(isDuplicate({ code: '40001' })).toBe(false);
  });
});

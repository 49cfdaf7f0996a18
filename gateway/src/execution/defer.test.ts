import { describe, expect, it } from '@jest/globals';
import type { QueryPlan } from '@apollo/query-planner';
import { silentLogger } from '@cinegraph/testing/silent-logger';
import { buildSchema } from 'graphql';
import { gatewayCode, planningOverloaded, refusedOperation } from '../errors.js';
import { planDeferred } from './defer.js';

const schema = buildSchema('type Query { a: Int b: Int }');
const deferred = '{a ...on Query@defer(label:"d0"){b}}';
const whole = '{a ...on Query{b}}';
const planned: QueryPlan = { kind: 'QueryPlan' };

describe('the plan of an operation with @defer', () => {
  /** Plans with a planner that rejects deferred fragments; returns the outcome, and what it was asked for. */
  const planWith = async (failure: Error) => {
    const asked: string[] = [];
    const plan = (text: string) => {
      asked.push(text);
      return text === whole ? Promise.resolve(planned) : Promise.reject(failure);
    };
    const types = { interfaceObjects: new Set<string>() };
    const outcome = await planDeferred(deferred, { schema, types, plan, logger: silentLogger }).catch(
      (error: unknown) => error,
    );
    return { asked, outcome };
  };

  it.each([
    ['too complex', refusedOperation(gatewayCode.operationTooComplex, 'Ask for less.')],
    ['refused because too many wait', planningOverloaded()],
  ])('is not made a second time for an operation that is %s', async (_, refusal) => {
    expect(await planWith(refusal)).toEqual({ asked: [deferred], outcome: refusal });
  });

  it('is made without @defer if the planner fails on the deferred fragments', async () => {
    expect(await planWith(new Error('the operation cannot be planned'))).toEqual({
      asked: [deferred, whole],
      outcome: planned,
    });
  });
});

import { testDatabase, testPool, type TestDatabase } from '@cinegraph/testing/database';
import { afterAll, beforeAll } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { PrismaClient } from '../src/generated/prisma/client.js';
import { migrations } from '../src/migrations.js';

/** A database of rating without its service. {@link useRatingDatabase} sets it before the tests of a file. */
interface RatingDatabase {
  url: string;
  pool: pg.Pool;
  prisma: PrismaClient;
}

/** Creates a database of rating before the tests of a file, and drops it after them. */
export const useRatingDatabase = (): RatingDatabase => {
  const opened = {} as RatingDatabase;
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase({ name: 'rating', migrations });
    const pool = testPool(database.url);
    Object.assign(opened, {
      url: database.url,
      pool,
      prisma: new PrismaClient({ adapter: new PrismaPg(pool) }),
    });
  });
  afterAll(async () => {
    await opened.prisma.$disconnect();
    await opened.pool.end();
    await database.drop();
  });
  return opened;
};

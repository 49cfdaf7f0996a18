import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { PrismaClient } from '../generated/prisma/client.js';

/** Runs `work` with a Prisma client on the database of a job, and disconnects it. */
export const withPrisma = async <Result>(
  { pool }: { readonly pool: pg.Pool },
  work: (prisma: PrismaClient) => Promise<Result>,
): Promise<Result> => {
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  try {
    return await work(prisma);
  } finally {
    await prisma.$disconnect();
  }
};

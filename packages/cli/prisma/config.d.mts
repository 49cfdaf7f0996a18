import type { PrismaConfig } from 'prisma/config';

export const prismaConfig: (name: string) => Promise<PrismaConfig>;

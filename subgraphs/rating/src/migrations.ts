/** The folder of rating's Prisma migrations. */
export const migrations = new URL('../../../prisma/rating/migrations/', import.meta.url);

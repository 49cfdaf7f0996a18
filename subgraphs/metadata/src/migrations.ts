/** The directory of metadata's Prisma migrations. */
export const migrations = new URL('../../../prisma/metadata/migrations/', import.meta.url);

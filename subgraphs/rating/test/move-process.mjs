import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../dist/generated/prisma/client.js';
import { moveAllVotes } from '../dist/move-votes.js';

// Moves votes of joined movies in a process that a test kills. Arguments: the URL of the database, and how
// many votes a step moves. It writes a line before it begins.
const [connectionString, size] = process.argv.slice(2);
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
await prisma.$connect();
process.stdout.write('moving\n');
await moveAllVotes(prisma, undefined, Number(size));
await prisma.$disconnect();

import { prismaConfig } from '../../packages/cli/prisma/config.mjs';

export default await prismaConfig('users');

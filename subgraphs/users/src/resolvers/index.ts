import type { Resolvers } from '../generated/resolvers.js';
import { DateTime } from '../scalars.js';
import { Me } from './Me.js';
import { Mutation } from './Mutation.js';
import { Query } from './Query.js';
import { User } from './User.js';

/** The resolvers of every GraphQL type, by its name. */
export const resolvers: Resolvers = { DateTime, Me, Mutation, Query, User };

import type { Resolvers } from '../generated/resolvers.js';
import { CurrencyCode, Date, DateTime, Decimal } from '../scalars.js';
import { CreditConnection } from './CreditConnection.js';
import { Genre } from './Genre.js';
import { Movie } from './Movie.js';
import { MovieConnection } from './MovieConnection.js';
import { Mutation } from './Mutation.js';
import { Node } from './Node.js';
import { Person } from './Person.js';
import { Query } from './Query.js';
import { SearchNode } from './SearchNode.js';

/** The resolvers of each type, by the name of the type. */
export const resolvers: Resolvers = {
  CreditConnection,
  CurrencyCode,
  Date,
  DateTime,
  Decimal,
  Genre,
  Movie,
  MovieConnection,
  Mutation,
  Node,
  Person,
  Query,
  SearchNode,
};

import type { Resolvers } from '../generated/resolvers.js';
import { DateTime, Score } from '../scalars.js';
import { AggregatedRating } from './AggregatedRating.js';
import { Movie } from './Movie.js';
import { Mutation } from './Mutation.js';
import { Node } from './Node.js';
import { Query } from './Query.js';
import { Rating } from './Rating.js';
import { RatingConnection } from './RatingConnection.js';
import { TopRatedConnection } from './TopRatedConnection.js';
import { User } from './User.js';

/** The resolvers of every GraphQL type, by its name. */
export const resolvers: Resolvers = {
  AggregatedRating,
  DateTime,
  Movie,
  Mutation,
  Node,
  Query,
  Rating,
  RatingConnection,
  Score,
  TopRatedConnection,
  User,
};

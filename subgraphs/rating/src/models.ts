import type { Connection } from '@cinegraph/subgraph/pagination';

/** A movie as rating knows it: its id, and its aggregated rating if a command has just changed that. */
export interface MovieModel {
  readonly id: string;
  readonly aggregatedRating?: AggregatedRatingModel;
}

/**
 * The exact sums over a movie's ratings. `histogram` has ten entries; `histogram[i]` counts the score i + 1.
 */
export interface AggregatedRatingModel {
  readonly sum: number;
  readonly count: number;
  readonly histogram: readonly number[];
}

/** The aggregated rating of a movie that nobody has rated. */
export const noVotes: AggregatedRatingModel = {
  sum: 0,
  count: 0,
  histogram: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
};

/** What identifies a rating: a viewer has at most one rating of a movie. */
export interface RatingKey {
  readonly movieId: string;
  readonly viewerId: string;
}

/** Returns the key as text, e.g. for a map. */
export const ratingKeyOf = ({ movieId, viewerId }: RatingKey): string => JSON.stringify([movieId, viewerId]);

/** One viewer's rating of one movie. */
export interface RatingModel extends RatingKey {
  readonly score: number;
  readonly review: string | null;
  /** Who published the rating, if it came from outside and says so. */
  readonly provider: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A user as rating knows it: a viewer with an account. */
export interface UserModel {
  readonly id: string;
}

/** A page of ratings. The total is read only if the client selects it. */
export interface RatingConnectionModel extends Connection<RatingModel> {
  readonly total: () => Promise<number>;
}

/** A page of the movies rated best. The total is read only if the client selects it. */
export interface TopRatedConnectionModel extends Connection<MovieModel> {
  readonly total: () => Promise<number>;
}

/** The TypeScript types of the scalars that the schema defines. */
export interface ScalarTypes {
  readonly Score: number;
  readonly DateTime: Date;
}

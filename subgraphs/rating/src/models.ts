import type { Connection } from '@cinegraph/subgraph/pagination';

/** A movie as rating knows it: an id, and the aggregated rating where a command has just moved it. */
export interface MovieModel {
  readonly id: string;
  readonly aggregatedRating?: AggregatedRatingModel;
}

/** The exact projection of a movie's ratings; `histogram[i]` counts the votes of score i + 1, always ten entries. */
export interface AggregatedRatingModel {
  readonly sum: number;
  readonly count: number;
  readonly histogram: readonly number[];
}

/** One viewer's rating of one movie. */
export interface RatingModel {
  readonly movieId: string;
  readonly viewerId: string;
  readonly score: number;
  readonly review: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A page of ratings; the total is asked for only when the client wants it. */
export interface RatingConnectionModel extends Connection<RatingModel> {
  readonly total: () => Promise<number>;
}

/** How the schema's own scalars are held in memory. */
export interface ScalarTypes {
  readonly Score: number;
  readonly DateTime: Date;
}

/** The aggregated rating of a movie that nobody rated. */
export const noVotes: AggregatedRatingModel = {
  sum: 0,
  count: 0,
  histogram: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
};

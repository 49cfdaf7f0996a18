import type { AggregatedRatingResolvers } from '../generated/resolvers.js';

export const AggregatedRating: AggregatedRatingResolvers = {
  average: ({ sum, count }) => (count === 0 ? null : sum / count),
  histogram: ({ histogram }) => histogram.map((count, index) => ({ score: index + 1, count })),
};

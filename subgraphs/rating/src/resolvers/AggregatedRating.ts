import type { AggregatedRatingResolvers } from '../generated/resolvers.js';

export const AggregatedRating: AggregatedRatingResolvers = {
  average: ({ sum, count }) => (count === 0 ? null : sum / count),
  // The prior of Query.topRated: 50 votes of 6.5.
  weightedScore: ({ sum, count }) => (count === 0 ? null : (325 + sum) / (50 + count)),
  histogram: ({ histogram }) => histogram.map((count, index) => ({ score: index + 1, count })),
};

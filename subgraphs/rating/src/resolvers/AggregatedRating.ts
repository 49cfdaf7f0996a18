import { weightedScorePrior as prior } from '@cinegraph/events/weighted-score';
import type { AggregatedRatingResolvers } from '../generated/resolvers.js';

export const AggregatedRating: AggregatedRatingResolvers = {
  average: ({ sum, count }) => (count === 0 ? null : sum / count),
  weightedScore: ({ sum, count }) => (count === 0 ? null : (prior.sum + sum) / (prior.count + count)),
  histogram: ({ histogram }) => histogram.map((count, index) => ({ score: index + 1, count })),
};

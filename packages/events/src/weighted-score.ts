/**
 * The prior of the weighted score, (prior.sum + sum) / (prior.count + count): 50 votes of 6.5. The indexes
 * and the generated column that sort by the score repeat it in the migrations of rating and metadata.
 */
export const weightedScorePrior = { sum: 325, count: 50 } as const;

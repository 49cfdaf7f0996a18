export const movies = 5_000;

/**
 * Returns event `n` of a stream in which a few movies get most ratings, and each viewer rates a movie once.
 */
export function ratingOf(n) {
  return {
    movieId: `bench:${Math.floor(movies * ((n * 0.6180339887) % 1) ** 2)}`,
    user: n,
    score: 1 + ((n * 7) % 10),
  };
}

/** Formats an integer with separators. */
export function round(value) {
  return Math.round(value).toLocaleString('en-US');
}

export const movies = 5_000;

/** Event `n` of a stream in which a few movies get most of the ratings; each viewer rates a movie once. */
export function ratingOf(n) {
  return {
    movieId: `bench:${Math.floor(movies * ((n * 0.6180339887) % 1) ** 2)}`,
    user: n,
    score: 1 + ((n * 7) % 10),
  };
}

/** A whole number as people read it. */
export function round(value) {
  return Math.round(value).toLocaleString('en-US');
}

import { parseArgs } from 'node:util';
import { createClient, type Answer, type Ask, type GraphRefusal } from './client.js';
import {
  MoviePageDocument,
  RateDocument,
  RetractDocument,
  type ErrorCode,
  type MovieFilter,
  type MovieLineFragment,
  type MoviePageQuery,
} from './generated/operations.js';

const help = `Reads all movies of a filter, page by page, rates the best of them, and retracts the rating.

  npm run start -w examples -- --genre drama --from 2005 --token <access token>

  --url <url>         the graph; default http://127.0.0.1:4000/graphql
  --genre <id>        only movies of this genre
  --from <year>       only movies released in or after this year
  --token <token>     an access token of the viewer who rates; without one the ratings are refused
  --page <number>     movies per page; default 50
`;

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:4000/graphql' },
      genre: { type: 'string' },
      from: { type: 'string' },
      token: { type: 'string' },
      page: { type: 'string', default: '50' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    say(help);
    return;
  }
  const ask = createClient(values.url, values.token);
  const filter: MovieFilter = {
    ...(values.genre !== undefined && { genre: values.genre }),
    ...(values.from !== undefined && { releaseYear: { from: readNumber('from', values.from) } }),
  };

  const first = readNumber('page', values.page);

  const movies: MovieLineFragment[] = [];
  let pages = 0;
  for await (const page of moviePages(ask, filter, first)) {
    movies.push(...page);
    pages += 1;
  }
  say(`${many(movies.length, 'movie')} on ${many(pages, 'page')}`);
  const best = movies.toSorted((a, b) => averageOf(b) - averageOf(a)).slice(0, 3);
  for (const movie of best) say(`  ${lineOf(movie)}`);

  const [movie] = best;
  if (movie) await rateAndRetract(ask, movie);
};

/** Reads a number. NaN would become null in JSON, and null means no condition. */
const readNumber = (option: string, text: string): number => {
  if (!/^\d+$/.test(text)) throw new Error(`--${option} must be a whole number, not "${text}".`);
  return Number(text);
};

/** Yields the pages of all movies that match the filter. Each page is fetched when the caller asks for it. */
async function* moviePages(
  ask: Ask,
  filter: MovieFilter,
  first: number,
): AsyncGenerator<readonly MovieLineFragment[]> {
  let after: string | null = null;
  do {
    const { movies }: MoviePageQuery = dataOf(await ask(MoviePageDocument, { filter, first, after }));
    if (movies === null) throw new Error('The graph returned no movies.');
    yield movies.nodes;
    after = movies.pageInfo.hasNextPage ? movies.pageInfo.endCursor : null;
  } while (after !== null);
}

const rateAndRetract = async (ask: Ask, { id, title }: MovieLineFragment): Promise<void> => {
  for (const score of [11, 9]) {
    const { data, refusals } = await ask(RateDocument, { movieId: id, score });
    if (data?.submitRating?.movie) say(`rated ${score}: ${lineOf(data.submitRating.movie)}`);
    for (const refusal of refusals) say(`${title ?? id} was not rated ${score}: ${adviceFor(refusal)}`);
  }
  const { data } = await ask(RetractDocument, { movieId: id });
  const retracted = data?.retractRating;
  if (retracted?.retracted === true)
    say(`retracted: ${retracted.movie ? lineOf(retracted.movie) : (title ?? id)}`);
};

/**
 * Advice by the code of a refusal, because messages may change. A code that is not in the schema fails the
 * build.
 */
const advice: Readonly<Partial<Record<ErrorCode, string>>> = {
  UNAUTHENTICATED: 'log in, and pass the access token with --token.',
  RATING_OUT_OF_RANGE: 'a score is a whole number from 1 to 10.',
  MOVIE_NOT_FOUND: 'the movie is not known; read the list again.',
  MOVIE_DELETED: 'the movie was deleted; read the list again.',
  OVERLOADED: 'try again in a moment.',
  STORE_UNAVAILABLE: 'try again in a moment.',
};

const adviceFor = ({ message, extensions }: GraphRefusal): string => {
  const code = extensions?.code ?? 'no code';
  return `${code}, ${(advice as Readonly<Partial<Record<string, string>>>)[code] ?? message}`;
};

/** Prints the refusals of a response and returns its data. Throws if there is no data at all. */
const dataOf = <Data>({ data, refusals }: Answer<Data>): Data => {
  for (const refusal of refusals)
    complain(`${refusal.path?.join('.') ?? 'the request'}: ${adviceFor(refusal)}`);
  if (data === null) throw new Error('The graph returned no data.');
  return data;
};

const averageOf = ({ aggregatedRating }: MovieLineFragment): number => aggregatedRating?.average ?? 0;

const lineOf = ({ id, title, releaseYear, aggregatedRating }: MovieLineFragment): string => {
  const name = title ?? id;
  const year = releaseYear === null ? '' : ` (${releaseYear})`;
  if (!aggregatedRating) return `${name}${year}, ratings unknown`;
  const { average, count } = aggregatedRating;
  return `${name}${year}, ${average === null ? 'no votes' : `${average.toFixed(2)} of ${many(count, 'vote')}`}`;
};

const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const say = (text: string): void => void process.stdout.write(`${text.trimEnd()}\n`);
const complain = (text: string): void => void process.stderr.write(`${text}\n`);

await main().catch((error: unknown) => {
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
  complain(`${error instanceof Error ? error.message : String(error)}${cause}`);
  process.exitCode = 1;
});

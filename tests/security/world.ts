import { newId } from '@cinegraph/service/clock';
import type { GraphQLAnswer } from '@cinegraph/testing/subgraph';
import { bearerOf } from '@cinegraph/testing/tokens';
import { scopesOf } from '../../subgraphs/users/src/rules.js';
import { startTestGraph, type TestGraph } from '../support/graph.js';
import { know } from '../support/known-movies.js';
import type { Asker } from './field-matrix.js';

/** An account, with the header of its requests. Nobody has no account: id and login are of no account. */
export interface Account {
  readonly id: string;
  readonly login: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The graph with one movie that has everything, and as many accounts as a test needs. */
export interface World extends TestGraph {
  /** Opens an account with the role, which has rated the movie. Its headers have the scopes of the role. */
  readonly open: (asker: Asker) => Promise<Account>;
  /** Adds a movie that both metadata and rating know. Returns its id. */
  readonly addMovie: () => Promise<string>;
  /** Opens a session. Returns its refresh token. */
  readonly logIn: (login: string) => Promise<string>;
  /** Returns a checksum of each table of each database. */
  readonly rows: () => Promise<Readonly<Record<string, string>>>;
}

/** The password of each account. */
export const password = 'correct horse battery';

/** The movie that has everything. */
export const movieId = 'm:1';
export const personId = 'person:vega:ada';
export const imdbId = 'tt0000001';

const grants = { nobody: [], user: [], editor: ['EDITOR'], admin: ['ADMIN'] } as const;

/** Starts the graph and fills it. */
export const startWorld = async (): Promise<World> => {
  const graph = await startTestGraph();
  const { metadata, rating, users } = graph.subgraphs;
  const write = async (
    query: string,
    variables: Record<string, unknown>,
    headers: Readonly<Record<string, string>>,
  ): Promise<Record<string, unknown>> => {
    const { data, errors } = await graph.ask(query, variables, headers);
    if (errors || !data) throw new Error(JSON.stringify(errors));
    return data;
  };
  const addMovie = async (id: string = newId(), input: Record<string, unknown> = {}): Promise<string> => {
    await write(
      'mutation ($id: ID!, $input: MovieInput!) { upsertMovie(id: $id, input: $input) { movie { id } } }',
      { id, input: { title: 'Another', ...input } },
      bearerOf('curator', { scopes: scopesOf(['EDITOR']) }),
    );
    // No broker runs here.
    await know(rating.pool, [id]);
    return id;
  };
  const rate = (headers: Readonly<Record<string, string>>) =>
    write(
      'mutation ($id: ID!) { submitRating(movieId: $id, score: 7) { rating { id } } }',
      { id: movieId },
      headers,
    );

  await metadata.pool.query('INSERT INTO person (id, name) VALUES ($1, $2)', [personId, 'Ada Example']);
  const money = { amount: '1', currency: 'USD' };
  await addMovie(movieId, {
    title: 'Brazil',
    genres: ['Drama'],
    directors: [{ id: personId }],
    cast: [{ person: { id: personId }, character: 'Sam' }],
    externalIds: [{ source: 'imdb', value: imdbId }],
    productionBudget: money,
  });
  await metadata.pool.query(
    "INSERT INTO external_rating (movie_id, source, average, scale_top) VALUES ($1, 'imdb', 8, 10)",
    [movieId],
  );
  await rate(bearerOf('movielens:1'));
  await rating.pool.query("UPDATE rating SET provider = 'moviebase' WHERE viewer_id = 'movielens:1'");
  const template = 'template';
  await write(
    'mutation ($input: RegisterInput!) { register(input: $input) { me { login } } }',
    { input: { login: template, password, name: 'Ann' } },
    {},
  );

  return {
    ...graph,
    open: async (asker) => {
      const id = newId();
      const login = `${asker}-${id}`;
      const roles = grants[asker];
      // A copy of the hash takes less time than another one.
      await users.pool.query(
        `INSERT INTO account (id, login, name, password_hash, roles, created_at)
         SELECT $1, $2, name, password_hash, $3, now() FROM account WHERE login = $4`,
        [id, login, roles, template],
      );
      await rate(bearerOf(id));
      return { id, login, headers: asker === 'nobody' ? {} : bearerOf(id, { scopes: scopesOf(roles) }) };
    },
    addMovie: () => addMovie(),
    logIn: async (login) => {
      const data = await write(
        'mutation ($login: String!, $password: String!) { login(login: $login, password: $password) { tokens { refreshToken } } }',
        { login, password },
        {},
      );
      return (data as { login: { tokens: { refreshToken: string } } }).login.tokens.refreshToken;
    },
    rows: async () => {
      const checksums: Record<string, string> = {};
      for (const [name, { pool }] of Object.entries(graph.subgraphs)) {
        const { rows: tables } = await pool.query<{ table: string }>(
          `SELECT format('%I.%I', schemaname, tablename) AS table FROM pg_tables
           WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
        );
        for (const { table } of tables) {
          const { rows } = await pool.query<{ sum: string }>(
            `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS sum FROM ${table} AS t`,
          );
          checksums[`${name} ${table}`] = rows[0]?.sum ?? '';
        }
      }
      return checksums;
    },
  };
};

/** Returns the paths and codes of the errors of a response. */
export const refusalsOf = ({ errors = [] }: GraphQLAnswer): readonly (readonly [string, unknown])[] =>
  errors.map(({ path = [], extensions }) => [path.join('.'), extensions?.['code']]);

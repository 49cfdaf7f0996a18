import { statementsDuring, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { wordSeparators } from '../src/queries/search-highlight.js';
import { searchQuery, startSearch } from './support/search.js';

let subgraph: TestSubgraph;
let search: Searches['search'];
let namesFor: Searches['namesFor'];
beforeAll(async () => {
  ({ subgraph, search, namesFor } = await startSearch());
});
afterAll(() => subgraph.stop());

type Searches = Awaited<ReturnType<typeof startSearch>>;

describe('among 20,000 generated movies and as many people', () => {
  beforeAll(async () => {
    await subgraph.pool.query(generate(20_000));
    await subgraph.pool.query('ANALYZE movie, person, search_word, credit, external_id');
  }, 120_000);

  it('a search is one statement over its indexes and scans no table', async () => {
    for (const text of ['the', 'godfath', 'shawshenk redemtion', 'badi', 'coppola godfather', 'tt0000042']) {
      const statements = await statementsDuring(() => search(text));
      expect(statements).toHaveLength(1);
      const client = await subgraph.pool.connect();
      const { rows } = await client
        .query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE, COSTS OFF) ${statements[0] ?? ''}`, [
          text,
          20,
          `[${wordSeparators}]+`,
        ])
        .finally(() => client.release());
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      for (const index of [
        'movie_title_fold',
        'movie_title_words',
        'movie_title_joined',
        'person_name_joined',
        'external_id_pkey',
        'person_name_fold',
        'person_name_words',
        'search_word_trigrams',
        'search_word_word',
      ]) {
        expect(plan).toContain(index);
      }
      expect(plan).not.toContain('Seq Scan');
    }
  });

  it('a search looks at movies of people only if a title can have the words that none of these people has', async () => {
    const [statement = ''] = await statementsDuring(() => search('the'));
    const lookUpsOf = async (text: string) => {
      const { rows } = await subgraph.pool.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, COSTS OFF) ${statement}`,
        [text, 20, `[${wordSeparators}]+`],
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      return [...plan.matchAll(/movie_pkey .* loops=(\d+)/g)].reduce(
        (sum, [, loops]) => sum + Number(loops),
        0,
      );
    };
    const names = 'beba biba boba buba caba ceba';
    expect(await lookUpsOf(names)).toBeGreaterThan(500);
    expect(await lookUpsOf(`${names} xxqq zzqq`)).toBeLessThan(10);
  });

  it('a full name of two words that many people have is found together with a title', async () => {
    await subgraph.pool.query(`
      WITH people AS (
        INSERT INTO person (id, name)
        SELECT 'person:johann:' || n, 'Johann Xylo' || n FROM generate_series(1, 200) AS n
        UNION ALL SELECT 'person:schmidt:' || n, 'Xylo' || n || ' Schmidt' FROM generate_series(1, 200) AS n
        UNION ALL SELECT 'person:both', 'Johann Schmidt'),
      movies AS (
        INSERT INTO movie (id, title, created_at, updated_at)
        VALUES ('gen:quay', 'Lights on the Quay', now(), now()))
      INSERT INTO credit (movie_id, role, position, person_id)
      VALUES ('gen:quay', 'DIRECTOR', 1, 'person:both')`);
    for (const text of [
      'johann schmidt quay',
      'quay johann schmidt',
      'quay schmidt johann',
      'johan schmitd quay',
    ])
      expect((await namesFor(text))[0]).toBe('Lights on the Quay');
  });

  it('a search and each nested field of its hits cost one statement, however many hits there are', async () => {
    const query = `query ($first: Int) { search(text: "the", first: $first) { hits { node { ... on Movie { genres { name } } } } } }`;
    for (const first of [2, 100]) {
      expect(await statementsDuring(() => subgraph.ask(query, { first }))).toHaveLength(2);
    }
  });

  it.each([
    ['the commonest word', 'the'],
    ['one letter', 'b'],
    ['two letters', 'ba'],
    ['many letters', 'a b c d e f g h i j k l m n o p q r s t u v w x y z'.repeat(3)],
    [
      'many beginnings',
      'ba be bi bo ca ce co da de do fa fe fi ga go ha he ka ki la le li lo ma me mi mo na ne no',
    ],
    [
      'many words of no meaning',
      'bxca dxfe gxha kxla mxna pxra sxta bxda cxfa dxga fxka hxla kxma lxna mxpa nxra',
    ],
    ['one word repeated', 'baba '.repeat(40)],
    ['one long word', 'baba'.repeat(50)],
    ['wildcards', '%_'.repeat(100)],
    ['a pattern that grows', '(a+)+'.repeat(40)],
    ['accents on accents', `a${'\u0301'.repeat(199)}`],
    ['ligatures that grow', '\ufdfa'.repeat(200)],
    ['emoji', '🍿'.repeat(100)],
  ])('a search for %s ends within the statement time-out', async (_case, text) => {
    await search(text.slice(0, 200), 100);
  });

  it('searches that are stuck time out, and no other request waits for them', async () => {
    const client = await subgraph.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('LOCK TABLE search_word IN ACCESS EXCLUSIVE MODE');
      const stuck = Promise.all(
        Array.from({ length: 30 }, () => subgraph.ask(searchQuery, { text: 'star' })),
      );
      let ended = false;
      void stuck.finally(() => (ended = true));
      const other = await subgraph.ask('{ movies(first: 1) { nodes { id } } }');
      expect([other.errors, ended]).toEqual([undefined, false]);
      for (const { errors } of await stuck) {
        expect(errors?.[0]?.extensions?.['code']).toBe('STORE_UNAVAILABLE');
      }
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    expect((await namesFor('godfather'))[0]).toBe('The Godfather');
  });
});

/**
 * SQL that adds movies and people with made-up names, in which a few words are far more frequent than others.
 */
const generate = (count: number) => `
  WITH vocabulary AS MATERIALIZED (
    SELECT k, s[1 + k % 40] || s[1 + k / 40 % 40] || CASE WHEN k > 1600 THEN s[1 + k / 1600 % 40] ELSE '' END AS word
    FROM generate_series(1, 30000) AS k, (SELECT string_to_array(
      'ba be bi bo bu ca ce co da de do fa fe fi ga go ha he ka ki la le li lo ma me mi mo na ne no pa ra re ri ro sa se ta ti',
      ' ') AS s) AS syllables),
  picked AS MATERIALIZED (
    SELECT n, i, 1 + floor(29999 * power(random(), 3))::integer AS k
    FROM generate_series(1, ${count}) AS n, generate_series(1, 1 + n % 4) AS i),
  named AS MATERIALIZED (
    SELECT n, string_agg(initcap(word), ' ' ORDER BY i) AS name FROM picked JOIN vocabulary USING (k) GROUP BY n),
  people AS (INSERT INTO person (id, name) SELECT 'person:gen:' || n, name FROM named),
  movies AS (
    INSERT INTO movie (id, title, created_at, updated_at)
    SELECT 'gen:' || n, CASE WHEN n % 3 = 0 THEN 'The ' ELSE '' END || name, now(), now() FROM named),
  ids AS (
    INSERT INTO external_id (source, value, movie_id)
    SELECT 'imdb', 'tt' || lpad(n::text, 7, '0'), 'gen:' || n FROM named)
  INSERT INTO credit (movie_id, role, position, person_id)
  SELECT 'gen:' || n, 'DIRECTOR', p, 'person:gen:' || 1 + (n * 7 + p * n) % ${count}
  FROM named, generate_series(1, 3) AS p`;

import { importInto } from '@cinegraph/subgraph/import/run-import';
import { startTestSubgraph, statementsDuring, type TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { catalogue } from '../src/import/vega.js';
import { wordsIn, wordSeparators } from '../src/queries/search-highlight.js';
import { metadata } from '../src/subgraph.js';

interface Hit {
  readonly node: { readonly __typename: string; readonly id: string; readonly name: string };
  readonly rank: number;
  readonly score: number;
  readonly highlights: readonly {
    readonly field: string;
    readonly segments: readonly { readonly text: string; readonly matched: boolean }[];
  }[];
}

let subgraph: TestSubgraph;
beforeAll(async () => {
  subgraph = await startTestSubgraph(metadata);
  await importInto(catalogue, subgraph.pool);
  await subgraph.pool.query('ANALYZE movie, person, search_word');
});
afterAll(() => subgraph.stop());

const searchQuery = `query ($text: String!, $first: Int) { search(text: $text, first: $first) { hasMore hits {
  rank score highlights { field segments { text matched } }
  node { __typename ... on Movie { id name: title } ... on Person { id name } } } } }`;

const search = async (text: string, first?: number) => {
  const { data, errors } = await subgraph.ask(searchQuery, { text, first });
  expect([text, errors]).toEqual([text, undefined]);
  return data?.['search'] as { hasMore: boolean; hits: readonly Hit[] };
};

const namesFor = async (text: string, first?: number) =>
  (await search(text, first)).hits.map(({ node }) => node.name);

/** A hit's text with what was matched in brackets. */
const marked = (hit: Hit | undefined) =>
  hit?.highlights[0]?.segments.map(({ text, matched }) => (matched ? `[${text}]` : text)).join('');

const refusalOf = async (variables: Record<string, unknown>) => {
  const { data, errors } = await subgraph.ask(searchQuery, variables);
  expect(data ?? null).toBeNull();
  return errors?.[0]?.extensions?.['code'];
};

const addMovie = async (title: string, viewer = 'ann'): Promise<string> => {
  const { data, errors } = await subgraph.ask(
    'mutation ($title: String!) { createMovie(input: { title: $title }) { id } }',
    { title },
    { viewer },
  );
  expect(errors).toBeUndefined();
  return (data?.['createMovie'] as { id: string }).id;
};

describe('a search', () => {
  it.each([
    ['the exact title', 'The Godfather', 'The Godfather'],
    ['the title without its article', 'godfather', 'The Godfather'],
    ['the beginning of a word', 'godfath', 'The Godfather'],
    ['a title that begins another', 'alien', 'Alien'],
    ['a short title', 'jaws', 'Jaws'],
    ['a title of digits', '2012', '2012'],
    ['words in another order', 'redemption shawshank', 'The Shawshank Redemption'],
    ['words half typed', 'shaw redem', 'The Shawshank Redemption'],
    ['misspelt words', 'shawshenk redemtion', 'The Shawshank Redemption'],
    ['a letter left out', 'termnator', 'The Terminator'],
    ['exchanged letters', 'inceptoin', 'Inception'],
    ['exchanged letters of a short word', 'matirx', 'The Matrix'],
    ['a part of a word', 'hawshan', 'The Shawshank Redemption'],
    ['capitals and punctuation', '"SCHINDLER’S, LIST!"', "Schindler's List"],
    ['an apostrophe left out', 'schindlers list', "Schindler's List"],
    ['a title cut by a dash', 'spider man', 'Spider-Man'],
    ['a title cut by a slash', 'face off', 'Face/Off'],
    ['a family name', 'spielberg', 'Steven Spielberg'],
    ['a misspelt name', 'stephen speilberg', 'Steven Spielberg'],
  ])('finds by %s: %s', async (_case, text, name) => {
    expect((await namesFor(text))[0]).toBe(name);
  });

  it('finds a person as a person, with the movies in the filmography', async () => {
    const { data } = await subgraph.ask(
      '{ search(text: "spielberg", first: 1) { hits { node { ... on Person { __typename filmography(first: 1) { totalCount } } } } } }',
    );
    expect(data).toEqual({
      search: { hits: [{ node: { __typename: 'Person', filmography: { totalCount: 23 } } }] },
    });
  });

  it('finds a part of a word behind the words that begin with it', async () => {
    const names = await namesFor('father', 100);
    const places = [/\bfather/i, /\wfather/i].map((pattern) => names.findIndex((name) => pattern.test(name)));
    expect(places[0]).toBe(0);
    expect(names).toContain('The Godfather');
    expect(places[1]).toBeGreaterThan(names.findLastIndex((name) => /\bfather/i.test(name)));
  });

  it('ranks from 1, by falling scores from 0 to 1, and says whether there is more', async () => {
    const { hits, hasMore } = await search('star', 10);
    expect(hasMore).toBe(true);
    expect(hits.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const scores = hits.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(Math.max(...scores)).toBeLessThanOrEqual(1);
    expect(Math.min(...scores)).toBeGreaterThan(0);
    expect((await search('the godfather', 1)).hits[0]?.score).toBe(1);
    expect((await search('star')).hits).toHaveLength(20);
    expect((await search('star', 0)).hits).toEqual([]);
    const all = await search('shawshank', 100);
    expect(all.hasMore).toBe(false);
    expect(new Set(all.hits.map(({ node }) => node.id)).size).toBe(all.hits.length);
  });

  it('does not see accents, however they are written, on either side', async () => {
    await addMovie('Léontyne');
    await addMovie('Cafe\u0301 Łódź');
    for (const text of ['leontyne', 'LÉONTYNE', 'Le\u0301ontyne']) {
      expect((await namesFor(text))[0]).toBe('Léontyne');
    }
    // As the catalogue has it.
    expect((await namesFor('leon', 1))[0]).toBe('LÈon');
    expect((await namesFor('café lodz'))[0]).toBe('Cafe\u0301 Łódź');
    await addMovie('千と千尋の神隠し');
    expect(await namesFor('千と千尋')).toEqual(['千と千尋の神隠し']);
  });

  it('takes a text that is cut at a blank once it is folded', async () => {
    // Ligatures are three letters each: 399 of them, and the blank is the last character that is kept.
    const title = `${'\ufb03'.repeat(133)} x`;
    const id = await addMovie(title);
    expect((await search(title)).hits[0]?.node.id).toBe(id);
  });

  it('sees a new title and a new name at once, and a deleted movie or a changed title no more', async () => {
    const { data } = await subgraph.ask(
      'mutation { createMovie(input: { title: "Quixotry Zyzzyva", directors: [{ name: "Wilhelmina Xylander" }] }) { id version } }',
      {},
      { viewer: 'ann' },
    );
    const { id, version } = data?.['createMovie'] as { id: string; version: number };
    expect((await search('quixotri')).hits[0]?.node.id).toBe(id);
    expect(await namesFor('xilander')).toContain('Wilhelmina Xylander');
    await subgraph.ask(
      'mutation ($id: ID!, $version: Int!) { updateMovie(id: $id, version: $version, input: { title: "Wabbling Vuvuzela" }) { id } }',
      { id, version },
      { viewer: 'ann' },
    );
    expect(await namesFor('zyzzyva')).toEqual([]);
    expect(await namesFor('vuvuzella')).toEqual(['Wabbling Vuvuzela']);
    await subgraph.ask('mutation ($id: ID!) { deleteMovie(id: $id) }', { id }, { viewer: 'ann' });
    for (const text of ['wabbling vuvuzela', 'wabbling', 'vuvuzella', 'uvuzel']) {
      expect(await namesFor(text)).toEqual([]);
    }
  });
});

describe('highlights', () => {
  it.each([
    ['godfath', '"The [Godfath]er"'],
    ['the godfather', '"[The] [Godfather]"'],
    ['hawshan', '"The S[hawshan]k Redemption"'],
    ['shawshenk redemtion', '"The [Shawshank] [Redemption]"'],
    ['schindlers', `"[Schindler's] List"`],
    ['speilberg', '"Steven [Spielberg]"'],
  ])('of %s say what was matched: %s', async (text, expected) => {
    expect(JSON.stringify(marked((await search(text, 1)).hits[0]))).toBe(expected);
  });

  it('are plain text, put together the whole text, and name the field', async () => {
    await addMovie('<b>Zymurgy</b> &amp; 🍺 Stra\u00dfe');
    const [hit] = (await search('zymurgy strasse')).hits;
    expect(hit?.highlights).toEqual([
      {
        field: 'TITLE',
        segments: [
          { text: '<b>', matched: false },
          { text: 'Zymurgy', matched: true },
          { text: '</b> &amp; 🍺 ', matched: false },
          { text: 'Stra\u00dfe', matched: true },
        ],
      },
    ]);
    for (const { node, highlights } of (await search('and', 100)).hits) {
      expect(highlights).toHaveLength(1);
      expect(highlights[0]?.field).toBe(node.__typename === 'Movie' ? 'TITLE' : 'NAME');
      expect(highlights[0]?.segments.map(({ text }) => text).join('')).toBe(node.name);
    }
  });

  it('cut every title and name into the words that the database cuts it into', async () => {
    const { rows } = await subgraph.pool.query<{
      text: string;
      words: string[];
      folded: string;
      separate: string;
    }>(
      `SELECT text, ARRAY(SELECT w FROM regexp_split_to_table(text, $1) AS w WHERE w <> '') AS words,
         search_fold(text) AS folded, search_fold(regexp_replace(text, $1, ' ', 'g')) AS separate
       FROM (SELECT title AS text FROM movie UNION ALL SELECT name FROM person) AS t`,
      [`[${wordSeparators}]+`],
    );
    expect(rows.length).toBeGreaterThan(3_000);
    for (const { text, words, folded, separate } of rows) {
      expect(wordsIn(text).words.map(({ start, end }) => text.slice(start, end))).toEqual(words);
      expect(separate).toBe(folded);
    }
  });
});

describe('the text of a search', () => {
  it.each([
    ['nothing', { text: '' }],
    ['nothing but spaces', { text: ' \t ' }],
    ['201 characters', { text: 'x'.repeat(201) }],
    ['a megabyte less a little', { text: 'x '.repeat(40_000) }],
    ['an operator', { text: { contains: 'x' } }],
    ['U+0000', { text: 'a\u0000' }],
    ['half a surrogate pair', { text: '\uD800' }],
    ['no text', {}],
    ['the most hits plus one', { text: 'x', first: 101 }],
    ['fewer than no hits', { text: 'x', first: -1 }],
  ])('is refused with BAD_USER_INPUT when it is %s', async (_case, variables) => {
    expect(await refusalOf(variables)).toBe('BAD_USER_INPUT');
  });

  it('finds nothing when it is only punctuation', async () => {
    for (const text of ['...', '%', '_', '\\', "'", '&|!', '<->', ':*', '()', '— “”', '\u202E']) {
      expect([text, await namesFor(text)]).toEqual([text, []]);
    }
  });

  it('of one letter finds what begins with it, and the word itself', async () => {
    const hits = (await search('x', 10)).hits;
    expect(hits.length).toBeGreaterThan(0);
    for (const { node } of hits) expect(node.name).toMatch(/^x|\bx\b/i);
  });

  it.each([
    `'; DROP TABLE movie; --`,
    `godfather' & 'x`,
    `godfather' | 'x`,
    '!godfather:*',
    'godfather:D <2> x',
    `%' OR true --`,
    'godfath%r',
    'g_dfather',
    '(((((godfather',
    '$1 ${1} \\1',
    '.*godfather.*',
  ])('is taken literally: %s', async (text) => {
    await search(text);
    const { rows } = await subgraph.pool.query<{ folded: string }>('SELECT search_fold($1) AS folded', [
      text,
    ]);
    expect(await search(text)).toEqual(await search(rows[0]?.folded ?? ''));
    expect((await namesFor('godfather'))[0]).toBe('The Godfather');
  });
});

describe('among 20,000 generated movies and as many people', () => {
  beforeAll(async () => {
    await subgraph.pool.query(generate(20_000));
    await subgraph.pool.query('ANALYZE movie, person, search_word');
  }, 120_000);

  it('a search is one statement over its indexes, reading no table whole', async () => {
    for (const text of ['the', 'godfath', 'shawshenk redemtion', 'badi']) {
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

  it('the hits of a page and their fields cost one statement each, however many hits', async () => {
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
  ])('a search for %s ends before its time is up', async (_case, text) => {
    await search(text.slice(0, 200), 100);
  });

  it('searches that cannot end are cut off, and nobody else waits for them', async () => {
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
 * SQL that adds movies and people with names of made-up words, the first words far more often than the last.
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
  people AS (INSERT INTO person (id, name) SELECT 'person:gen:' || n, name FROM named)
  INSERT INTO movie (id, title, created_at, updated_at)
  SELECT 'gen:' || n, CASE WHEN n % 3 = 0 THEN 'The ' ELSE '' END || name, now(), now() FROM named`;

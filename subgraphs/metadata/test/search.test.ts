import type { TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { wordsIn, wordSeparators } from '../src/queries/search-highlight.js';
import { searchQuery, startSearch, type Hit } from './support/search.js';
import { asEditor } from './support/mutations.js';

let subgraph: TestSubgraph;
let search: Searches['search'];
let namesFor: Searches['namesFor'];
beforeAll(async () => {
  ({ subgraph, search, namesFor } = await startSearch());
});
afterAll(() => subgraph.stop());

type Searches = Awaited<ReturnType<typeof startSearch>>;

/** Returns the text of a hit with the matched segments in brackets. */
const marked = (hit: Hit | undefined) =>
  hit?.highlights[0]?.segments.map(({ text, matched }) => (matched ? `[${text}]` : text)).join('');

const refusalOf = async (variables: Record<string, unknown>) => {
  const { data, errors } = await subgraph.ask(searchQuery, variables);
  expect(data?.['search'] ?? null).toBeNull();
  return errors?.[0]?.extensions?.['code'];
};

const addMovie = async (title: string): Promise<string> => {
  const { data, errors } = await subgraph.ask(
    'mutation ($title: String!) { createMovie(input: { title: $title }) { movie { id } } }',
    { title },
    asEditor,
  );
  expect(errors).toBeUndefined();
  return (data?.['createMovie'] as { movie: { id: string } }).movie.id;
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
  ])('a search finds by %s: %s', async (_case, text, name) => {
    expect((await namesFor(text))[0]).toBe(name);
  });

  it('a search finds a person as a person, with the movies in the filmography', async () => {
    const { data } = await subgraph.ask(
      '{ search(text: "spielberg", first: 1) { hits { node { ... on Person { __typename filmography(first: 1) { totalCount } } } } } }',
    );
    expect(data).toEqual({
      search: { hits: [{ node: { __typename: 'Person', filmography: { totalCount: 23 } } }] },
    });
  });

  it('words that contain the text are ranked after words that begin with it', async () => {
    const names = await namesFor('father', 100);
    const positions = [/\bfather/i, /\wfather/i].map((pattern) =>
      names.findIndex((name) => pattern.test(name)),
    );
    expect(positions[0]).toBe(0);
    expect(names).toContain('The Godfather');
    expect(positions[1]).toBeGreaterThan(names.findLastIndex((name) => /\bfather/i.test(name)));
  });

  it('hits are ranked from 1 by descending scores from 0 to 1, and hasMore says if there are more', async () => {
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

  it('a search ignores accents in the text and in titles, however they are encoded', async () => {
    await addMovie('Léontyne');
    await addMovie('Cafe\u0301 Łódź');
    for (const text of ['leontyne', 'LÉONTYNE', 'Le\u0301ontyne']) {
      expect((await namesFor(text))[0]).toBe('Léontyne');
    }
    expect((await namesFor('leon', 1))[0]).toBe('Léon');
    expect((await namesFor('café lodz'))[0]).toBe('Cafe\u0301 Łódź');
    await addMovie('千と千尋の神隠し');
    expect(await namesFor('千と千尋')).toEqual(['千と千尋の神隠し']);
  });

  it('a search finds a text that is cut at a space after folding', async () => {
    // Each ligature becomes three letters, 399 in all, so the space is the last character that is kept.
    const title = `${'\ufb03'.repeat(133)} x`;
    const id = await addMovie(title);
    expect((await search(title)).hits[0]?.node.id).toBe(id);
  });

  it('a search finds new titles and names at once, and deleted or changed ones no longer', async () => {
    const { data } = await subgraph.ask(
      'mutation { createMovie(input: { title: "Quixotry Zyzzyva", directors: [{ name: "Wilhelmina Xylander" }] }) { movie { id version } } }',
      {},
      asEditor,
    );
    const { id, version } = (data?.['createMovie'] as { movie: { id: string; version: number } }).movie;
    expect((await search('quixotri')).hits[0]?.node.id).toBe(id);
    expect(await namesFor('xilander')).toContain('Wilhelmina Xylander');
    await subgraph.ask(
      'mutation ($id: ID!, $version: Int!) { updateMovie(id: $id, version: $version, input: { title: "Wabbling Vuvuzela" }) { movie { id } } }',
      { id, version },
      asEditor,
    );
    expect(await namesFor('zyzzyva')).toEqual([]);
    expect(await namesFor('vuvuzella')).toEqual(['Wabbling Vuvuzela']);
    await subgraph.ask('mutation ($id: ID!) { deleteMovie(id: $id) { deletedMovieId } }', { id }, asEditor);
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
  ])('the highlights of %s mark what matched: %s', async (text, expected) => {
    expect(JSON.stringify(marked((await search(text, 1)).hits[0]))).toBe(expected);
  });

  it('highlights are plain text, add up to the whole text, and name the field', async () => {
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

  it('highlights split every title and name into the same words as the database', async () => {
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
  ])('a search is refused with BAD_USER_INPUT if its text is %s', async (_case, variables) => {
    expect(await refusalOf(variables)).toBe('BAD_USER_INPUT');
  });

  it('a text of punctuation only finds nothing', async () => {
    for (const text of ['...', '%', '_', '\\', "'", '&|!', '<->', ':*', '()', '— “”', '\u202E']) {
      expect([text, await namesFor(text)]).toEqual([text, []]);
    }
  });

  it('a text of one letter finds what begins with it, and the word itself', async () => {
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
  ])('the text of a search is taken literally: %s', async (text) => {
    await search(text);
    const { rows } = await subgraph.pool.query<{ folded: string }>('SELECT search_fold($1) AS folded', [
      text,
    ]);
    expect(await search(text)).toEqual(await search(rows[0]?.folded ?? ''));
    expect((await namesFor('godfather'))[0]).toBe('The Godfather');
  });
});

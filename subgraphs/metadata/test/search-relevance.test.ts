import type { TestSubgraph } from '@cinegraph/testing/subgraph';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSearch } from './support/search.js';
import { asEditor } from './support/mutations.js';

let subgraph: TestSubgraph;
let namesFor: Awaited<ReturnType<typeof startSearch>>['namesFor'];
beforeAll(async () => {
  ({ subgraph, namesFor } = await startSearch());
  for (const [title, director, imdbId] of added) {
    const { errors } = await subgraph.ask(
      'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
      {
        input: {
          title,
          directors: [{ name: director }],
          externalIds: [{ source: 'imdb', value: imdbId }],
        },
      },
      asEditor,
    );
    expect(errors).toBeUndefined();
  }
});
afterAll(() => subgraph.stop());

/** Movies that the catalogue lacks. */
const added = [
  ['M*A*S*H', 'Robert Altman', 'tt0066026'],
  ['The Amazing Spider-Man', 'Marc Webb', 'tt0948470'],
  ['Interstellar', 'Christopher Nolan', 'tt0816692'],
] as const;

describe('the first hit of a search', () => {
  it.each([
    ['a joined word', 'spiderman', 'Spider-Man'],
    ['joined words before a number', 'spiderman 2', 'Spider-Man 2'],
    ['a joined word after a letter', 'xmen', 'X-Men'],
    ['letters without their asterisks', 'mash', 'M*A*S*H'],
    ['letters with spaces', 'm a s h', 'M*A*S*H'],
    ['joined words of a title that goes on', 'starwars', 'Star Wars: The Clone Wars'],
    ['joined words and a word', 'amazing spiderman', 'The Amazing Spider-Man'],
    ['all words joined', 'thegodfather', 'The Godfather'],
    ['all words joined without the article', 'pulpfiction', 'Pulp Fiction'],
    ['a joined name', 'stevenspielberg', 'Steven Spielberg'],
    ['a parted word', 'god father', 'The Godfather'],
    ['a parted word of a title', 'in ception', 'Inception'],
    ['a dash between joined words', 'wall-e', 'WALL-E'],
    ['a dash left out', 'walle', 'WALL-E'],
    ['a misspelt name', 'christopher nolen', 'Christopher Nolan'],
    ['a misspelt family name', 'speilberg', 'Steven Spielberg'],
    ['a misspelt first name', 'kristopher nolan', 'Christopher Nolan'],
    ['a vowel left out', 'matrx', 'The Matrix'],
    ['a letter too many', 'matrixx', 'The Matrix'],
    ['another vowel', 'godfether', 'The Godfather'],
    ['a title before longer titles', 'matrix', 'The Matrix'],
    ['a title with its article', 'the matrix', 'The Matrix'],
    ['a part of a title', 'dark knight', 'The Dark Knight'],
    ['a family name and a title', 'Coppola godfather', 'The Godfather'],
    ['a title and a family name', 'interstellar nolan', 'Interstellar'],
    ['a misspelt family name and a title', 'copola godfather', 'The Godfather'],
    ['a full name and a title', 'spielberg jaws', 'Jaws'],
    ['an IMDb id', 'tt0816692', 'Interstellar'],
    ['an IMDb id in capitals with spaces', ' TT0066026 ', 'M*A*S*H'],
    ['the id of a movie', 'vega:1', 'The Land Girls'],
    ['the id of a person', 'person:vega:steven-spielberg', 'Steven Spielberg'],
  ])('%s, "%s", finds %s first', async (_case, text, name) => {
    expect((await namesFor(text))[0]).toBe(name);
  });

  it('the id of a deleted movie and an id that nothing has find no movie by their id', async () => {
    const { data } = await subgraph.ask(
      'mutation ($input: MovieInput!) { createMovie(input: $input) { movie { id } } }',
      { input: { title: 'Gone', externalIds: [{ source: 'imdb', value: 'tt7654321' }] } },
      asEditor,
    );
    expect((await namesFor('tt7654321'))[0]).toBe('Gone');
    const { id } = (data?.['createMovie'] as { movie: { id: string } }).movie;
    await subgraph.ask('mutation ($id: ID!) { deleteMovie(id: $id) { deletedMovieId } }', { id }, asEditor);
    expect(await namesFor('tt7654321')).not.toContain('Gone');
    expect(await namesFor(id)).not.toContain('Gone');
  });
});

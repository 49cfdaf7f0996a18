import { describe, expect, it } from '@jest/globals';
import { agreementOf, matchFilm, titleKeysOf, type Film } from './matching.js';

const film = (id: string, title: string, year: number | null, more: Partial<Film> = {}): Film => ({
  id,
  title,
  year,
  directors: [],
  externalIds: [],
  ...more,
});

const sameTitle = (one: string, other: string) =>
  titleKeysOf(one).some((key) => titleKeysOf(other).includes(key));

describe('the titles of films', () => {
  it.each([
    ['The Godfather', 'Godfather, The'],
    ['Amélie', "Amelie (Fabuleux destin d'Amélie Poulain, Le)"],
    ['WALL-E', 'WALL·E'],
    ['Spider-Man', 'Spiderman'],
    ["Ocean's Eleven", 'Oceans Eleven'],
    ['Lock, Stock and Two Smoking Barrels', 'Lock, Stock & Two Smoking Barrels'],
    ['Rocky III', 'Rocky 3'],
    ['The Godfather: Part II', 'Godfather: Part 2, The'],
    ['Freddy vs. Jason', 'Freddy versus Jason'],
    ['Kill Bill: Vol. 1', 'Kill Bill: Volume 1'],
    ['City of God', 'City of God (Cidade de Deus)'],
    ['Se7en', 'Seven (a.k.a. Se7en)'],
    ['The The', 'the the'],
  ])('"%s" and "%s" are one title', (one, other) => {
    expect(sameTitle(one, other)).toBe(true);
  });

  it.each([
    ['The Godfather', 'The Godfather: Part II'],
    ['Rocky', 'Rocky II'],
    ['Malcolm X', 'Malcolm 10'],
    ['V for Vendetta', '5 for Vendetta'],
    ['I, Robot', '1 Robot'],
    ['Toy Story', 'Toy Story 2'],
    ['A.I. Artificial Intelligence', 'Artificial Intelligence'],
    ['???', '!!!'],
  ])('"%s" and "%s" are two titles', (one, other) => {
    expect(sameTitle(one, other)).toBe(false);
  });
});

describe('the agreement of two films', () => {
  it('a remake of the same title is another film', () => {
    expect(agreementOf(film('vega:1', 'Psycho', 1960), film('movielens:1', 'Psycho', 1998))).toBe(0);
  });

  it('a year more or less is the same film only if the director is the same', () => {
    const one = film('vega:1', 'Brazil', 1985, { directors: ['Terry Gilliam'] });
    const gilliam = film('imdb:tt1', 'Brazil', 1986, { directors: ['TERRY GILLIAM'] });
    expect(agreementOf(one, gilliam)).toBe(1);
    expect(agreementOf(one, { ...gilliam, year: 1987 })).toBe(0);
    expect(agreementOf(one, film('movielens:1', 'Brazil', 1986))).toBe(0);
    expect(agreementOf(one, { ...gilliam, year: 1985 })).toBe(2);
  });

  it('another director in the same year, or no year, is another film', () => {
    const one = film('vega:1', 'Hamlet', 2000, { directors: ['Michael Almereyda'] });
    expect(agreementOf(one, film('imdb:tt1', 'Hamlet', 2000, { directors: ['Campbell Scott'] }))).toBe(0);
    expect(agreementOf(one, film('imdb:tt1', 'Hamlet', null))).toBe(0);
  });

  it('films with different ids of one source are different films', () => {
    const imdb = (value: string) => ({ externalIds: [{ source: 'imdb', value }] });
    const one = film('movielens:1', 'Hamlet', 2000, imdb('tt1'));
    expect(agreementOf(one, film('custom', 'Hamlet', 2000, imdb('tt2')))).toBe(0);
    expect(agreementOf(one, film('imdb:tt2', 'Hamlet', 2000))).toBe(0);
    expect(agreementOf(one, film('movielens:2', 'Hamlet', 2000))).toBe(0);
    expect(agreementOf(one, film('imdb:tt1', 'Hamlet', 2000))).toBe(2);
  });
});

describe('the match of a film', () => {
  const ours = film('movielens:1', 'Solaris', 2002);

  it('one film that agrees is the match', () => {
    expect(
      matchFilm(ours, [film('vega:1', 'Solaris', 2002), film('vega:2', 'Solaris', 1972)], [ours]),
    ).toEqual({ id: 'vega:1' });
  });

  it('two films that agree equally are ambiguous, from the side of either source', () => {
    const [one, two] = [film('vega:1', 'Solaris', 2002), film('vega:2', 'Solaris', 2002)];
    expect(matchFilm(ours, [one, two], [ours])).toEqual({ ambiguous: ['vega:1', 'vega:2'] });
    expect(matchFilm(one, [ours], [one, two])).toEqual({ ambiguous: ['movielens:1'] });
    expect(matchFilm(two, [ours], [one, two])).toEqual({ ambiguous: ['movielens:1'] });
  });

  it('a film of the same year is preferred to one of the next year, from the side of either source', () => {
    const directors = ['Steven Soderbergh'];
    const source = film('imdb:tt1', 'Solaris', 2002, { directors });
    const [one, two] = [
      film('vega:1', 'Solaris', 2002, { directors }),
      film('vega:2', 'Solaris', 2003, { directors }),
    ];
    expect(matchFilm(source, [one, two], [source])).toEqual({ id: 'vega:1' });
    expect(matchFilm(one, [source], [one, two])).toEqual({ id: 'imdb:tt1' });
    expect(matchFilm(two, [source], [one, two])).toBeUndefined();
  });
});

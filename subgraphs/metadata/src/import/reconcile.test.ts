import { describe, expect, it } from '@jest/globals';
import { reconcileFacts } from './reconcile.js';
import { nothingKnown } from './source-movie.js';

const published = {
  ...nothingKnown,
  title: 'Brazil',
  runtimeMinutes: 132,
  genres: [{ id: 'comedy', name: 'Comedy' }],
  directors: [{ id: 'person:x:terry-gilliam', name: 'Terry Gilliam' }],
};

describe('reconcileFacts', () => {
  it('reconciliation takes a fact that only the source changed', () => {
    const reconciled = reconcileFacts(published, published, { ...published, runtimeMinutes: 142 });
    expect(reconciled).toEqual({ facts: { ...published, runtimeMinutes: 142 }, changed: ['runtimeMinutes'] });
  });

  it('reconciliation keeps a fact that people changed, even if the source changed it as well', () => {
    const edited = { ...published, title: 'Brazil (1985)', directors: [] };
    expect(reconcileFacts(published, edited, { ...published, title: 'BRAZIL' })).toEqual({
      facts: edited,
      changed: [],
    });
  });

  it('reconciliation keeps a fact empty that people cleared', () => {
    const edited = { ...published, runtimeMinutes: null };
    expect(
      reconcileFacts(published, edited, { ...published, runtimeMinutes: 142 }).facts.runtimeMinutes,
    ).toBeNull();
  });

  it('reconciliation changes nothing if people and the source made the same change', () => {
    const same = { ...published, title: 'BRAZIL' };
    expect(reconcileFacts(published, same, same).changed).toEqual([]);
  });

  it('reconciliation fills the empty facts of a movie that the source has not described before', () => {
    const byPeople = { ...nothingKnown, title: 'Brazil, as people call it' };
    const { facts, changed } = reconcileFacts(undefined, byPeople, published);
    expect(facts).toEqual({ ...published, title: 'Brazil, as people call it' });
    expect(changed).toEqual(['runtimeMinutes', 'genres', 'directors']);
  });

  it('reconciliation compares genres as a set and people by their ids', () => {
    const both = [{ id: 'drama', name: 'Drama' }, ...published.genres];
    const last = { ...published, genres: both };
    const current = {
      ...published,
      genres: both.toReversed(),
      directors: [{ id: 'person:x:terry-gilliam', name: 'T. G.' }],
    };
    expect(reconcileFacts(last, current, { ...published, genres: [] }).changed).toEqual(['genres']);
  });

  it('reconciliation keeps the external ids of other sources, and those that people removed stay removed', () => {
    const ids = (...values: string[]) => values.map((value) => ({ source: 'x', value }));
    const last = { ...published, externalIds: ids('removed', 'dropped') };
    const current = { ...published, externalIds: ids('dropped', 'other') };
    const next = { ...published, externalIds: ids('removed', 'added') };
    const { facts, changed } = reconcileFacts(last, current, next);
    expect(facts.externalIds).toEqual(ids('other', 'added'));
    expect(changed).toEqual(['externalIds']);
    expect(reconcileFacts(next, facts, next).changed).toEqual([]);
  });

  it('reconciliation reads a record that an earlier version stored with fewer facts', () => {
    expect(
      reconcileFacts({ title: 'Brazil' }, { ...nothingKnown, title: 'Brazil' }, published).facts,
    ).toEqual(published);
  });
});

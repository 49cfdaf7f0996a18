import { describe, expect, it } from '@jest/globals';
import { mergeFacts } from './merge.js';
import { nothingKnown } from './source-movie.js';

const told = {
  ...nothingKnown,
  title: 'Brazil',
  runtimeMinutes: 132,
  genres: [{ id: 'comedy', name: 'Comedy' }],
  directors: [{ id: 'person:x:terry-gilliam', name: 'Terry Gilliam' }],
};

describe('a merge of what a source tells', () => {
  it('takes what the source changed where nobody else did', () => {
    const merged = mergeFacts(told, told, { ...told, runtimeMinutes: 142 });
    expect(merged).toEqual({ facts: { ...told, runtimeMinutes: 142 }, changed: ['runtimeMinutes'] });
  });

  it('keeps what people changed, whether the source changed it or not', () => {
    const edited = { ...told, title: 'Brazil (1985)', directors: [] };
    expect(mergeFacts(told, edited, { ...told, title: 'BRAZIL' })).toEqual({ facts: edited, changed: [] });
  });

  it('keeps what people cleared', () => {
    const edited = { ...told, runtimeMinutes: null };
    expect(mergeFacts(told, edited, { ...told, runtimeMinutes: 142 }).facts.runtimeMinutes).toBeNull();
  });

  it('changes nothing where people and source came to the same', () => {
    const same = { ...told, title: 'BRAZIL' };
    expect(mergeFacts(told, same, same).changed).toEqual([]);
  });

  it('fills what is unknown of a movie that the source never told of before', () => {
    const byPeople = { ...nothingKnown, title: 'Brazil, as people call it' };
    const { facts, changed } = mergeFacts(undefined, byPeople, told);
    expect(facts).toEqual({ ...told, title: 'Brazil, as people call it' });
    expect(changed).toEqual(['runtimeMinutes', 'genres', 'directors']);
  });

  it('compares genres as a set and people by their ids', () => {
    const both = [{ id: 'drama', name: 'Drama' }, ...told.genres];
    const last = { ...told, genres: both };
    const current = {
      ...told,
      genres: both.toReversed(),
      directors: [{ id: 'person:x:terry-gilliam', name: 'T. G.' }],
    };
    expect(mergeFacts(last, current, { ...told, genres: [] }).changed).toEqual(['genres']);
  });

  it('reads a record that an earlier version stored with fewer fields', () => {
    expect(mergeFacts({ title: 'Brazil' }, { ...nothingKnown, title: 'Brazil' }, told).facts).toEqual(told);
  });
});

import { describe, expect, it } from '@jest/globals';
import { splitTitle } from './movielens-title.js';

describe('a title of MovieLens', () => {
  it.each([
    ['Toy Story (1995)', 'Toy Story', 1995],
    ['Babylon 5', 'Babylon 5', null],
    ['Diplomatic Immunity (2009– )', 'Diplomatic Immunity', 2009],
    ['Big Bang Theory, The (2007-)', 'The Big Bang Theory', 2007],
    ['Big Bang Theory, The (2007- )', 'The Big Bang Theory', 2007],
    ['Fawlty Towers (1975-1979)', 'Fawlty Towers', 1975],
    ['Death Note: Desu nôto (2006–2007)', 'Death Note: Desu nôto', 2006],
    [
      'Mona and the Time of Burning Love (Mona ja palavan rakkauden aika) (1983))',
      'Mona and the Time of Burning Love (Mona ja palavan rakkauden aika)',
      1983,
    ],
    [
      'City of Lost Children, The (Cité des enfants perdus, La) (1995)',
      'The City of Lost Children (La Cité des enfants perdus)',
      1995,
    ],
    ['Postman, The (Postino, Il) (1994)', 'The Postman (Il Postino)', 1994],
    ['Andalusian Dog, An (Chien andalou, Un) (1929)', 'An Andalusian Dog (Un Chien andalou)', 1929],
    [
      'Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)',
      'The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo)',
      1966,
    ],
    [
      'Bicycle Thieves (a.k.a. Bicycle Thief, The) (Ladri di biciclette) (1948)',
      'Bicycle Thieves (a.k.a. The Bicycle Thief) (Ladri di biciclette)',
      1948,
    ],
    ['Misérables, Les (1995)', 'Les Misérables', 1995],
    ["Enfer, L' (1994)", "L'Enfer", 1994],
    ['Dolce Vita, La (1960)', 'La Dolce Vita', 1960],
    ['Vitelloni, I (1953)', 'I Vitelloni', 1953],
    ['Boot, Das (1981)', 'Das Boot', 1981],
    ['Nineteen Eighty-Four (1984) (1984)', 'Nineteen Eighty-Four (1984)', 1984],
    ['Justice League: The New Frontier (2008) ', 'Justice League: The New Frontier', 2008],
    ['(500) Days of Summer (2009)', '(500) Days of Summer', 2009],
    ['Me, Myself & Irene (2000)', 'Me, Myself & Irene', 2000],
    ['I, Robot (2004)', 'I, Robot', 2004],
    ['King and I, The (1956)', 'The King and I', 1956],
    ['Fahrenheit 9/11 (2004)', 'Fahrenheit 9/11', 2004],
    ['2001: A Space Odyssey (1968)', '2001: A Space Odyssey', 1968],
    ['M (1931)', 'M', 1931],
    ['', '', null],
  ])('%j has the title %j and the year %j', (text, title, releaseYear) => {
    expect(splitTitle(text)).toEqual({ title, releaseYear });
  });

  it.each([
    '(a '.repeat(300_000),
    `a${' '.repeat(1_000_000)}b (c)`,
    `a${' (b)'.repeat(20_000)}`,
    ', The'.repeat(200_000),
  ])('a hostile title of a megabyte is split in linear time', (text) => {
    // A quadratic split would take hours, so that the test would run into its time limit.
    expect(splitTitle(text).title.length).toBeGreaterThan(80_000);
  });
});

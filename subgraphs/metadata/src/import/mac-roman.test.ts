import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { repairMacRoman } from './mac-roman.js';

const catalogue = join(
  dirname(createRequire(import.meta.url).resolve('vega-datasets')),
  '../data/movies.json',
);

describe('the repair of texts that were read as Mac Roman', () => {
  it('exactly these 18 titles of the catalogue are repaired', () => {
    const rows = JSON.parse(readFileSync(catalogue, 'utf8')) as { Title: unknown; Director: unknown }[];
    const texts = rows
      .flatMap(({ Title, Director }) => [Title, Director])
      .filter((text) => typeof text === 'string');
    const repaired = texts.map(repairMacRoman).filter((text, at) => text !== texts[at]);
    expect(repaired).toEqual([
      'Astérix aux Jeux Olympiques',
      "De battre mon coeur s'est arrêté",
      'Les Bronzés 3: amis pour la vie',
      'Per qualche dollaro in più',
      "I Love You … Don't Touch Me!",
      'The Naked Gun 2½: The Smell of Fear',
      'Léon',
      "Le Fabuleux destin d'Amélie Poulain",
      'Aimée & Jaguar',
      'La mala educación',
      'Caché',
      'Die Fälscher',
      'Déjà Vu',
      'Indigènes',
      'Obsluhoval jsem anglického krále',
      'La Môme',
      'Joyeux Noël',
      'Molière',
    ]);
  });

  it.each([
    'Alien³',
    'Ri¢hie Ri¢h',
    'Léon',
    'Amélie',
    'L’Été',
    'ÉTÉ',
    'VOILÀ',
    'Österreich',
    'Über uns',
    'À bout de souffle',
    'Ô Jérusalem',
    'Pokémon: 2½',
    '東京物語',
    'Брат',
    'WALL·E',
    '',
  ])('the title %j stays as it is', (title) => {
    expect(repairMacRoman(title)).toBe(title);
  });
});

/**
 * The character that Windows means by the byte of a Mac Roman character. From byte 160 on, Windows has
 * Latin-1; of the bytes below, only the ellipsis occurs.
 */
const windowsOfMac: ReadonlyMap<string, string> = new Map(
  [0x85, ...Array.from({ length: 96 }, (_, index) => index + 160)].map((byte) => [
    new TextDecoder('macintosh').decode(Uint8Array.of(byte)),
    byte === 0x85 ? '…' : String.fromCharCode(byte),
  ]),
);

/**
 * Repairs a text that was written on Windows and read as Mac Roman: `LÈon` was `Léon`. Only a text that looks
 * damaged is repaired, and only if that makes it look better: `Alien³` and `Ri¢hie Ri¢h` stay.
 */
export const repairMacRoman = (text: string): string => {
  let repaired = '';
  for (const character of text) {
    const original = character < '\u0080' ? character : windowsOfMac.get(character);
    if (original === undefined) return text;
    repaired += original;
  }
  return oddities(repaired) < oddities(text) ? repaired : text;
};

/**
 * Counts what titles hardly have: a capital with an accent inside a word or alone, a small letter with an
 * accent among capitals, and a symbol.
 */
const oddities = (text: string): number =>
  [
    /(?<=[\p{L}\p{N}])[^\P{Lu}A-Z]/gu,
    /(?<!\S)[^\P{Lu}A-Z](?!\S)/gu,
    /(?<=\p{Lu}\p{Lu})[^\P{Ll}a-z]/gu,
    /[^\p{L}\p{M}\p{N}\p{Zs} -~…]/gu,
  ].reduce((count, odd) => count + [...text.matchAll(odd)].length, 0);

/** The articles that MovieLens puts after a title, by language. */
const articles = [
  ...['The', 'A', 'An'],
  ...['Le', 'La', 'Les', "L'", 'Un', 'Une'],
  ...['El', 'Los', 'Las', 'Una'],
  ...['Il', 'Lo', 'I', 'Gli', "Gl'", 'Uno', "Un'"],
  ...['Der', 'Die', 'Das', 'Den', 'Dem', 'Ein', 'Eine'],
  ...['De', 'Het', 'Een', 'Det', 'En', 'Et', 'Ett'],
  ...['O', 'Os', 'As', 'Um', 'Uma'],
];

const trailingArticle = new RegExp(`^(.+), (${articles.join('|')})$`, 'is');

/** A year or years in brackets at the end: `(1995)`, `(2007-)`, `(2009– )`, `(2006–2007)`, `(1983))`. */
const years = /\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\s*\){1,2}$/;

/**
 * Splits a title of MovieLens: `Big Bang Theory, The (2007-)` has the title `The Big Bang Theory` and the
 * year 2007. The year of a series is its first year; it is null if there is none. Titles in brackets stay
 * after the first one, each with its article in front: `The Postman (Il Postino)`.
 */
export const splitTitle = (
  titleAndYear: string,
): { readonly title: string; readonly releaseYear: number | null } => {
  const text = titleAndYear.trim();
  const [ending = '', year] = years.exec(text) ?? [];
  const name = text.slice(0, text.length - ending.length).trim();
  let first = name;
  let others = '';
  while (first.endsWith(')')) {
    const opening = first.lastIndexOf('(');
    const inside = first.slice(opening + 1, -1);
    const before = first.slice(0, Math.max(opening, 0)).trimEnd();
    if (before === '' || inside.includes(')')) break;
    const [prefix = ''] = /^a\.?k\.?a\.? /i.exec(inside) ?? [];
    others = ` (${prefix}${withArticleInFront(inside.slice(prefix.length))})${others}`;
    first = before;
  }
  return {
    title: `${withArticleInFront(first)}${others}`,
    releaseYear: year === undefined ? null : Number(year),
  };
};

const withArticleInFront = (title: string): string => {
  const [, rest = '', article] = trailingArticle.exec(title) ?? [];
  if (article === undefined) return title;
  return article.endsWith("'") ? `${article}${rest}` : `${article} ${rest}`;
};

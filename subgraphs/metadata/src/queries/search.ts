import type pg from 'pg';
import type { SearchHitModel, SearchResultsModel } from '../models.js';
import { movieColumns, toMovie, type MovieRow } from './movies.js';
import { highlight, wordsIn, wordSeparators } from './search-highlight.js';

/**
 * Returns at most `first` movies whose title and people whose name match a text, the best match first. One
 * statement does the work, which is bounded however long the text is or however common its words are. `pool`
 * is the pool of the searches: it has few connections and a short statement time-out, so that searches cannot
 * delay other requests.
 */
export const findHits = async (pool: pg.Pool, text: string, first: number): Promise<SearchResultsModel> => {
  const { rows } = await pool.query<HitRow>({
    text: searchStatement,
    values: [text, first, `[${wordSeparators}]+`],
  });
  return { hits: rows.slice(0, first).map(toHit), hasMore: rows.length > first };
};

type HitRow = Omit<MovieRow, 'id'> & {
  readonly id: string;
  readonly score: number;
  readonly terms: readonly string[];
  readonly corrections: readonly string[];
  readonly folded: readonly string[];
  readonly personName: string | null;
};

const toHit = (row: HitRow, index: number): SearchHitModel => {
  const { id, score, personName: name, terms, corrections, folded } = row;
  const text = name ?? row.title;
  const segments = highlight(wordsIn(text), folded, { terms, corrections });
  return {
    node: name === null ? toMovie(row) : { id, name },
    rank: index + 1,
    score,
    highlights: [{ field: name === null ? 'TITLE' : 'NAME', segments }],
  };
};

/** How many candidates each way of matching adds. A text that matches more is too common to rank. */
const candidates = { byBeginning: 100, byWords: 300, byLikeness: 200, byPeople: 200 } as const;

/**
 * The bounds of the search by people and title together: how many words may name people, how many people each
 * of them and each two neighbours find, and how many credits of them are looked at.
 */
const people = { words: 6, each: 50, credits: 2_000 } as const;

/** How many words of the text get corrections, and how many corrections each word gets. */
const corrected = { words: 8, each: 20 } as const;

/**
 * The least similarity, from 0 to 1, of a word and its correction: pg_trgm's share of common trigrams. One
 * wrong letter in a word of five letters leaves a third of the trigrams in common.
 */
const leastLikeness = 'CASE WHEN term.size <= 6 THEN 0.3 ELSE 0.35 END';

/** The searched tables: the text of each row, and the year that sorts hits with equal scores. */
const sources = {
  movie: {
    kind: 'movie',
    from: 'movie x',
    text: 'x.title',
    year: 'x.release_year',
    live: 'x.deleted_at IS NULL',
  },
  person: { kind: 'person', from: 'person x', text: 'x.name', year: 'NULL::integer', live: 'true' },
} as const;

type Source = (typeof sources)[keyof typeof sources];

const byBeginning = ({ kind, from, text, live }: Source) => `
  (SELECT '${kind}' AS kind, x.id FROM ${from}
   WHERE ${live} AND left(search_fold(${text}), 100) COLLATE "C" >= (SELECT left(text, 100) FROM asked) COLLATE "C"
     AND left(search_fold(${text}), 100) COLLATE "C" < ((SELECT left(text, 100) FROM asked) || chr(1114111)) COLLATE "C"
   ORDER BY left(search_fold(${text}), 100) COLLATE "C"
   LIMIT ${candidates.byBeginning})`;

const byJoined = ({ kind, from, text, live }: Source) => `
  (SELECT '${kind}' AS kind, x.id FROM ${from}
   WHERE ${live} AND search_joined(${text}) COLLATE "C" >= (SELECT joined FROM asked) COLLATE "C"
     AND search_joined(${text}) COLLATE "C" < ((SELECT joined FROM asked) || chr(1114111)) COLLATE "C"
   ORDER BY search_joined(${text}) COLLATE "C"
   LIMIT ${candidates.byBeginning})`;

const byWords = ({ kind, from, text, live }: Source, query: string, limit: number, only = 'true') => `
  (SELECT '${kind}' AS kind, x.id FROM ${from}
   WHERE ${live} AND search_words(${text}) @@ (SELECT query FROM ${query}) AND ${only}
   LIMIT ${limit})`;

const factsOf = ({ kind, from, text, year }: Source) => `
  SELECT c.kind, x.id, search_fold(${text}) AS folded, search_joined(${text}) AS joined, ${year} AS year,
    coalesce(c.people, '') AS people, c.kind || x.id IN (SELECT kind || id FROM identified) AS identified
  FROM candidate c JOIN ${from} ON x.id = c.id WHERE c.kind = '${kind}'`;

/** SQL that is true if the strict matches do not fill the page. If it is false, nothing loose is computed. */
const hasRoom = '(SELECT count(*) FROM strict) < $2::integer';

/**
 * The statement of a search. Parameters: $1 is the text, $2 the number of hits, $3 the pattern that
 * separates words. One row more than $2 shows that there are more hits.
 *
 * 1. `identified` finds the movie or person with the id, or the IMDb id, that the text is. `strict` finds
 *    titles that begin with the text, with or without the spaces of both, and titles that have all of its
 *    words. A word of two
 *    letters or more also matches as the beginning of a word. A folded word has only letters and digits,
 *    so it is safe in a tsquery.
 * 2. If the strict matches leave room on the page, `loose` also accepts each word's `correction`s: words
 *    of the catalogue that contain it, are similar to it, or have two neighbouring letters swapped, which
 *    trigrams miss in short words.
 * 3. If the strict matches leave room, `by_people` finds movies by people and title together: each word, or a
 *    correction of it, is in the title or in the name of a person of the movie.
 *    Two words beside each other find people who have both, before the many people who have only one of them.
 *    A word that no `found` person has must be in the title. If few titles have all these words, only their
 *    movies are looked at.
 * 4. `ranked` computes the score of each candidate, from 0 to 1. A movie or person with the id that the text
 *    is scores 1. For others, three fifths are how well the words
 *    match, weighted by their length. One fifth is the share of the title that the text covers. One fifth
 *    is the position of the match: the whole title, its beginning (a leading article is ignored), or the
 *    beginning of a word.
 */
const searchStatement = `
WITH asked AS MATERIALIZED (
  SELECT text, nullif(search_joined($1::text), '') AS joined, (
    SELECT string_agg('''' || word || '''' || CASE WHEN length(word) > 1 THEN ':*' ELSE '' END, ' & ')::tsquery
    FROM (SELECT DISTINCT string_to_table(text, ' ') AS word) AS w) AS query
  FROM (SELECT nullif(search_fold($1::text), '') AS text) AS folded
),
term AS MATERIALIZED (
  SELECT word, length(word) AS size, min(ordinal) AS ordinal
  FROM asked, string_to_table(text, ' ') WITH ORDINALITY AS w (word, ordinal) GROUP BY word
),
identified AS MATERIALIZED (
  SELECT 'movie' AS kind, m.id FROM movie named JOIN movie m ON m.id = coalesce(named.joined_into, named.id)
    WHERE named.id = btrim($1::text) AND m.deleted_at IS NULL
  UNION SELECT 'movie', m.id FROM external_id e JOIN movie m ON m.id = e.movie_id
    WHERE e.source = 'imdb' AND e.value = lower(btrim($1::text)) AND m.deleted_at IS NULL
  UNION SELECT 'person', p.id FROM person p WHERE p.id = btrim($1::text)
),
strict AS MATERIALIZED (
  SELECT kind, id FROM identified
  ${[sources.movie, sources.person]
    .flatMap((source) => [
      byBeginning(source),
      byJoined(source),
      byWords(source, 'asked', candidates.byWords),
    ])
    .map((matches) => `UNION ${matches}`)
    .join('')}
),
correction AS MATERIALIZED (
  SELECT term.word AS term, alike.word, alike.grade
  FROM (SELECT * FROM term WHERE size >= 3 ORDER BY ordinal LIMIT ${corrected.words}) AS term
  CROSS JOIN LATERAL (
    SELECT word, max(grade) AS grade FROM (
      SELECT s.word, similarity(s.word, term.word) AS grade FROM search_word s
      WHERE s.word % term.word AND abs(length(s.word) - term.size) <= greatest(2, term.size / 4)
      UNION ALL
      SELECT s.word, 0.4 + 0.6 * term.size / length(s.word)
      FROM search_word s WHERE s.word LIKE '%' || term.word || '%'
      UNION ALL
      SELECT s.word, 0.7 FROM search_word s WHERE s.word = ANY (ARRAY(
        SELECT overlay(term.word PLACING substr(term.word, n + 1, 1) || substr(term.word, n, 1) FROM n FOR 2) COLLATE "C"
        FROM generate_series(1, least(term.size, 30) - 1) AS n))
    ) AS found
    WHERE grade >= ${leastLikeness} GROUP BY word ORDER BY grade DESC, word LIMIT ${corrected.each}
  ) AS alike
  WHERE ${hasRoom}
),
wide AS MATERIALIZED (
  SELECT term.word AS term, min(term.ordinal) AS ordinal,
    concat_ws(' | ', '''' || term.word || '''' || CASE WHEN term.size > 1 THEN ':*' ELSE '' END,
      string_agg('''' || c.word || '''', ' | ')) AS words
  FROM term LEFT JOIN correction c ON c.term = term.word GROUP BY term.word, term.size
),
loose AS MATERIALIZED (
  SELECT string_agg('(' || words || ')', ' & ')::tsquery AS query FROM wide
),
name_word AS MATERIALIZED (
  SELECT words, row_number() OVER (ORDER BY ordinal) AS number FROM wide WHERE length(term) >= 3
  ORDER BY ordinal LIMIT ${people.words}
),
found AS MATERIALIZED (
  SELECT p.id, p.folded, max(w.size) AS size
  FROM (
    SELECT words::tsquery AS query, 1 AS size FROM name_word
    UNION ALL SELECT one.words::tsquery && next.words::tsquery, 2
    FROM name_word one JOIN name_word next ON next.number = one.number + 1) AS w
  CROSS JOIN LATERAL (
    SELECT x.id, search_fold(x.name) AS folded FROM person x
    WHERE search_words(x.name) @@ w.query LIMIT ${people.each}) AS p
  WHERE ${hasRoom} AND (SELECT count(*) FROM term) > 1
  GROUP BY p.id, p.folded
),
nameless AS MATERIALIZED (
  SELECT string_agg('(' || words || ')', ' & ')::tsquery AS query FROM wide
  WHERE NOT EXISTS (SELECT FROM found f WHERE array_to_tsvector(string_to_array(f.folded, ' ')) @@ words::tsquery)
),
titled AS MATERIALIZED (
  SELECT x.id FROM movie x
  WHERE x.deleted_at IS NULL AND search_words(x.title) @@ (SELECT query FROM nameless) AND EXISTS (SELECT FROM found)
  LIMIT ${people.credits + 1}
),
named AS MATERIALIZED (
  SELECT k.movie_id, f.folded FROM (SELECT * FROM found ORDER BY size DESC) AS f
  CROSS JOIN LATERAL (SELECT movie_id FROM credit WHERE person_id = f.id LIMIT ${people.credits}) AS k
  LIMIT ${people.credits}
),
by_people AS MATERIALIZED (
  SELECT m.id, n.people
  FROM (
    SELECT movie_id, left(string_agg(DISTINCT folded, ' '), 1000) AS people FROM named
    WHERE (SELECT query IS NULL FROM nameless) OR (SELECT count(*) FROM titled) > ${people.credits}
      OR movie_id IN (SELECT id FROM titled)
    GROUP BY movie_id) AS n
  CROSS JOIN LATERAL (
    SELECT id, title FROM movie WHERE id = n.movie_id AND deleted_at IS NULL LIMIT 1) AS m
  WHERE search_words(m.title) || array_to_tsvector(string_to_array(rtrim(n.people), ' ')) @@ (SELECT query FROM loose)
  LIMIT ${candidates.byPeople}
),
candidate AS MATERIALIZED (
  SELECT kind, id, max(people) AS people FROM (
    SELECT kind, id, NULL AS people FROM strict
    UNION ALL SELECT 'movie', id, people FROM by_people
    ${[sources.movie, sources.person].map((source) => `UNION ALL SELECT kind, id, NULL FROM ${byWords(source, 'loose', candidates.byLikeness, hasRoom)} AS w`).join(' ')}
  ) AS found GROUP BY kind, id
),
fact AS MATERIALIZED (${factsOf(sources.movie)} UNION ALL ${factsOf(sources.person)}),
ranked AS (
  SELECT f.kind, f.id, f.year, CASE WHEN f.identified THEN 1 ELSE round((
      0.6 * greatest(met.quality, CASE
          WHEN f.joined = asked.joined THEN 0.95
          WHEN starts_with(f.joined, asked.joined) THEN 0.8
          ELSE 0
        END)
      + 0.2 * least(1, CASE WHEN f.people = '' THEN length(asked.text) ELSE met.covered END::numeric / length(f.bare))
      + 0.2 * CASE
          WHEN asked.text IN (f.folded, f.bare) THEN 1
          WHEN starts_with(f.bare, asked.text) OR starts_with(f.folded, asked.text) THEN 0.75
          WHEN f.joined = asked.joined THEN 0.9
          WHEN starts_with(f.joined, asked.joined) THEN 0.6
          WHEN position(' ' || asked.text IN ' ' || f.folded) > 0 THEN 0.5
          ELSE 0
        END)::numeric, 4)::float8 END AS score
  FROM asked, (SELECT *, regexp_replace(folded, '^(the|an?) (?=.)', '') AS bare FROM fact) AS f
  CROSS JOIN LATERAL (
    SELECT sum(term.size * CASE
        WHEN position(' ' || term.word || ' ' IN ' ' || f.folded || ' ') > 0 THEN 1
        WHEN position(' ' || term.word IN ' ' || f.folded) > 0 THEN 0.85
        WHEN position(' ' || term.word || ' ' IN ' ' || f.people || ' ') > 0 THEN 0.8
        ELSE coalesce((
          SELECT 0.7 * max(c.grade) FROM correction c
          WHERE c.term = term.word
            AND position(' ' || c.word || ' ' IN ' ' || f.folded || ' ' || f.people || ' ') > 0), 0)
      END)::numeric / sum(term.size) AS quality,
      coalesce(sum(term.size) FILTER (WHERE position(' ' || term.word IN ' ' || f.folded) > 0), 0) AS covered
    FROM term
  ) AS met
),
best AS MATERIALIZED (
  SELECT * FROM ranked ORDER BY score DESC, kind, year DESC NULLS LAST, id COLLATE "C" LIMIT $2::integer + 1
)
SELECT ${movieColumns.replace('m.id,', 'b.id,')}, b.score, p.name AS "personName",
  ARRAY(SELECT word FROM term ORDER BY ordinal) AS terms,
  ARRAY(SELECT DISTINCT word FROM correction) AS corrections,
  ARRAY(SELECT search_fold(w) FROM regexp_split_to_table(coalesce(m.title, p.name), $3::text) WITH ORDINALITY AS s (w, n)
    WHERE w <> '' ORDER BY n) AS folded
FROM best b
LEFT JOIN movie m ON b.kind = 'movie' AND m.id = b.id
LEFT JOIN person p ON b.kind = 'person' AND p.id = b.id
ORDER BY b.score DESC, b.kind, b.year DESC NULLS LAST, b.id COLLATE "C"`;

-- Trusted like pg_trgm: the database's owner may create it without being a superuser.
CREATE EXTENSION IF NOT EXISTS unaccent;

-- A text as search compares it: small letters without accents, apostrophes taken out, what separates words as one blank.
-- At most 400 characters, so that each of its words fits into a tsvector. Its body is bound when it is created, so that
-- no search_path changes what it does. Separators are named by their code points: the same on every server and locale.
-- src/search.ts cuts titles into words by the same list. unaccent reads its rules from a file of the server: where an
-- upgrade changes that file, REINDEX what stands on this function.
CREATE FUNCTION search_fold(value text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 200
  RETURN left(btrim(regexp_replace(
    regexp_replace(lower(unaccent('unaccent'::regdictionary, normalize(value, NFC))),
      '[''\u02b9-\u02bf\u0300-\u036f\u2019]+', '', 'g'),
    '[\u0001-\u0026\u0028-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u2018\u201a-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\ufe10-\ufe6f\ufeff\uff01-\uff0f\uff1a-\uff20]+',
    ' ', 'g')), 400);

-- The words of a text for whole words and prefixes. Not to_tsvector: its parser takes "face/off" for a path.
CREATE FUNCTION search_words(value text) RETURNS tsvector
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 200
  RETURN array_to_tsvector(string_to_array(search_fold(value), ' '));

-- Titles and names by their beginnings, and by their words. Without a pending list (fastupdate), which every search would
-- read whole until a vacuum empties it.
CREATE INDEX movie_title_fold ON movie (left(search_fold(title), 100) COLLATE "C") WHERE deleted_at IS NULL;
CREATE INDEX movie_title_words ON movie USING gin (search_words(title)) WITH (fastupdate = off) WHERE deleted_at IS NULL;
CREATE INDEX person_name_fold ON person (left(search_fold(name), 100) COLLATE "C");
CREATE INDEX person_name_words ON person USING gin (search_words(name)) WITH (fastupdate = off);

-- Every word of a title or a name, by which misspelt words and parts of words are found. Only ever added to: a word that
-- no title has any more finds nothing. A word that two transactions add at once stands there twice, which is harmless;
-- a unique key would make them wait for each other, and so let them deadlock.
CREATE TABLE search_word (
  id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  word text COLLATE "C" NOT NULL
);

CREATE INDEX search_word_word ON search_word (word);
CREATE INDEX search_word_trigrams ON search_word USING gin (word gin_trgm_ops) WITH (fastupdate = off);

CREATE FUNCTION add_words_of_movies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (word)
  SELECT DISTINCT w COLLATE "C" FROM written, string_to_table(search_fold(title), ' ') AS w
  WHERE w <> '' AND NOT EXISTS (SELECT FROM search_word s WHERE s.word = w COLLATE "C");
  RETURN NULL;
END $$;

CREATE FUNCTION add_words_of_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (word)
  SELECT DISTINCT w COLLATE "C" FROM written, string_to_table(search_fold(name), ' ') AS w
  WHERE w <> '' AND NOT EXISTS (SELECT FROM search_word s WHERE s.word = w COLLATE "C");
  RETURN NULL;
END $$;

CREATE TRIGGER words_of_new_movies AFTER INSERT ON movie
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION add_words_of_movies();
CREATE TRIGGER words_of_changed_movies AFTER UPDATE ON movie
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION add_words_of_movies();
CREATE TRIGGER words_of_new_people AFTER INSERT ON person
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION add_words_of_people();
CREATE TRIGGER words_of_changed_people AFTER UPDATE ON person
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION add_words_of_people();

-- What is there already.
INSERT INTO search_word (word)
SELECT w FROM (SELECT title AS text FROM movie UNION ALL SELECT name FROM person) AS known,
  string_to_table(search_fold(text), ' ') AS w
WHERE w <> '' GROUP BY w;

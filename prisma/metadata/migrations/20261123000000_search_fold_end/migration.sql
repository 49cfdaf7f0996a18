-- As before, but without the blank at which a text of more than 400 characters may have been cut (accents taken off make
-- some longer than they were): behind it stood an empty word, which neither a tsvector nor a tsquery takes. No index holds
-- such a text, because none could be written. src/search-highlight.ts cuts titles into words by the same list.
CREATE OR REPLACE FUNCTION search_fold(value text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 200
  RETURN rtrim(left(btrim(regexp_replace(
    regexp_replace(lower(unaccent('unaccent'::regdictionary, normalize(value, NFC))),
      '[''\u02b9-\u02bf\u0300-\u036f\u2019]+', '', 'g'),
    '[\u0001-\u0026\u0028-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u2018\u201a-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\ufe10-\ufe6f\ufeff\uff01-\uff0f\uff1a-\uff20]+',
    ' ', 'g')), 400));

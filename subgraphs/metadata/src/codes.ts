/** The codes of metadata's own refusals, as `ErrorCode` in schema.graphql describes them; kit has the others. */
export const codes = {
  movieNotFound: 'MOVIE_NOT_FOUND',
  movieDeleted: 'MOVIE_DELETED',
  personNotFound: 'PERSON_NOT_FOUND',
  versionConflict: 'VERSION_CONFLICT',
  externalIdTaken: 'EXTERNAL_ID_TAKEN',
} as const;

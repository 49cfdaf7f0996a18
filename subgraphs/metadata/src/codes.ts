/**
 * The codes of metadata's own refusals. `ErrorCode` in the schema lists these and those of packages/service.
 */
export const codes = {
  movieNotFound: 'MOVIE_NOT_FOUND',
  movieDeleted: 'MOVIE_DELETED',
  personNotFound: 'PERSON_NOT_FOUND',
  versionConflict: 'VERSION_CONFLICT',
  externalIdTaken: 'EXTERNAL_ID_TAKEN',
} as const;

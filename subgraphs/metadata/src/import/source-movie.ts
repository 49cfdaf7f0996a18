import { Refusal } from '@cinegraph/service/refusal';
import type { SourceRecord } from '@cinegraph/subgraph/import/importer';
import { findUnstorableText } from '@cinegraph/database/storable-text';
import type { Certification, ExternalIdInput } from '../generated/resolvers.js';
import type { GenreModel, MoneyModel, PersonModel } from '../models.js';
import { checkMovie, checkMovieId, genresOf, isDay, isDecimal, settleRelease } from '../rules.js';

/** The facts of a movie that both sources and people may change. Each fact is reconciled as a whole. */
export interface MovieFacts {
  readonly title: string;
  readonly description: string | null;
  readonly release: { readonly date: string | null; readonly year: number | null };
  readonly runtimeMinutes: number | null;
  readonly certification: Certification | null;
  readonly languages: readonly string[];
  readonly posterUrl: string | null;
  readonly productionBudget: MoneyModel | null;
  readonly worldwideGross: MoneyModel | null;
  readonly domesticGross: MoneyModel | null;
  readonly domesticDvdSales: MoneyModel | null;
  readonly genres: readonly GenreModel[];
  readonly directors: readonly PersonModel[];
  readonly cast: readonly { readonly person: PersonModel; readonly character: string | null }[];
  readonly externalIds: readonly ExternalIdInput[];
}

/** A rating that a source publishes. Only imports write it. `votes` is null if the source has no count. */
export interface PublishedRating {
  readonly source: string;
  readonly average: number;
  readonly votes: number | null;
  readonly scaleTop: number;
}

/** A movie as an external source describes it, within the limits of the schema. */
export interface SourceMovie {
  readonly id: string;
  readonly facts: MovieFacts;
  readonly externalRatings: readonly PublishedRating[];
}

/** What the reader of a source provides for a movie. It leaves out what the source does not contain. */
export interface SourceMovieInput {
  readonly id: string;
  readonly title: string;
  readonly facts?: Partial<Omit<MovieFacts, 'title' | 'release' | 'genres'>>;
  readonly releaseDate?: string | null;
  readonly releaseYear?: number | null;
  readonly genres?: readonly string[];
  readonly externalRatings?: readonly PublishedRating[];
}

/** The facts of a movie of which nothing is known. */
export const nothingKnown: MovieFacts = {
  title: '',
  description: null,
  release: { date: null, year: null },
  runtimeMinutes: null,
  certification: null,
  languages: [],
  posterUrl: null,
  productionBudget: null,
  worldwideGross: null,
  domesticGross: null,
  domesticDvdSales: null,
  genres: [],
  directors: [],
  cast: [],
  externalIds: [],
};

/** Converts a movie of a source to an import record, or refuses it by the same rules as a mutation. */
export const toSourceRecord = (record: string, input: SourceMovieInput): SourceRecord<SourceMovie> => {
  const { id, title, facts = {}, releaseDate = null, releaseYear, genres = [], externalRatings = [] } = input;
  const bad = findUnstorableText(input, '');
  if (bad !== undefined) return { record, refused: `${bad} holds a character that cannot be stored` };
  if (releaseDate !== null && !isDay(releaseDate))
    return { record, refused: `${releaseDate} is not a valid day` };
  const known = { ...nothingKnown, ...facts };
  const amounts = [known.productionBudget, known.worldwideGross, known.domesticGross, known.domesticDvdSales];
  const invalid = amounts.find((money) => money !== null && !isDecimal(money.amount));
  if (invalid) return { record, refused: `${invalid.amount} is not an amount of money that can be stored` };
  const year = releaseYear === undefined ? {} : { releaseYear };
  try {
    checkMovieId(id);
    checkMovie({
      ...known,
      title,
      releaseDate,
      ...year,
      genres,
      directors: known.directors.map(({ name }) => ({ name })),
      cast: known.cast.map(({ person: { name }, character }) => ({ person: { name }, character })),
    });
    const release = settleRelease({ releaseDate: null, releaseYear: null }, { releaseDate, ...year });
    return {
      record,
      item: {
        id,
        facts: {
          ...known,
          title,
          release: { date: release.releaseDate, year: release.releaseYear },
          genres: genresOf(genres),
        },
        externalRatings,
      },
    };
  } catch (error) {
    if (error instanceof Refusal) return { record, refused: error.message };
    throw error;
  }
};

import { Refusal } from '@cinegraph/service/refusal';
import type { SourceRecord } from '@cinegraph/subgraph/import/run-import';
import { findUnstorableText } from '@cinegraph/database/storable-text';
import type { Certification, ExternalIdInput } from '../generated/resolvers.js';
import type { GenreModel, MoneyModel, PersonModel } from '../models.js';
import { checkMovie, checkMovieId, genresOf, isDay, isDecimal, settleRelease } from '../rules.js';

/** What is known of a movie and people may edit as well: each field is merged as a whole. */
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

/** What a source publishes as a movie's rating; only imports write it. `votes` is null where that is not published. */
export interface PublishedRating {
  readonly source: string;
  readonly average: number;
  readonly votes: number | null;
  readonly scaleTop: number;
}

/** A movie as an outside source tells it, within the limits of the schema. */
export interface SourceMovie {
  readonly id: string;
  readonly facts: MovieFacts;
  readonly externalRatings: readonly PublishedRating[];
}

/** What a source's file has to find out about a movie; what it does not know it leaves out. */
export interface SourceMovieInput {
  readonly id: string;
  readonly title: string;
  readonly facts?: Partial<Omit<MovieFacts, 'title' | 'release' | 'genres'>>;
  readonly releaseDate?: string | null;
  readonly releaseYear?: number | null;
  readonly genres?: readonly string[];
  readonly externalRatings?: readonly PublishedRating[];
}

/** A movie of which nothing is known. */
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

/** A record of a source as the tables take it, or refused with the reason: a source obeys the limits that people obey. */
export const toSourceRecord = (record: string, input: SourceMovieInput): SourceRecord<SourceMovie> => {
  const { id, title, facts = {}, releaseDate = null, releaseYear, genres = [], externalRatings = [] } = input;
  const bad = findUnstorableText(input, '');
  if (bad !== undefined) return { record, refused: `${bad} holds a character that cannot be stored` };
  if (releaseDate !== null && !isDay(releaseDate))
    return { record, refused: `there is no day ${releaseDate}` };
  const known = { ...nothingKnown, ...facts };
  const amounts = [known.productionBudget, known.worldwideGross, known.domesticGross, known.domesticDvdSales];
  const odd = amounts.find((money) => money !== null && !isDecimal(money.amount));
  if (odd) return { record, refused: `${odd.amount} is no amount of money that can be stored` };
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

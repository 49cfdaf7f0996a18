import type { Connection } from '@cinegraph/subgraph/pagination';
import type { Certification, CreditRole, ExternalRating, SearchField } from './generated/resolvers.js';
import type { Segment } from './search-highlight.js';

/** What rules judge, as GraphQL has read it. */
export type { ExternalIdInput, MovieChanges, MovieFilter, PersonInput } from './generated/resolvers.js';

/**
 * A movie as queries read it: plain JSON, so that an idempotent answer can be stored and given again as it was. Days are
 * YYYY-MM-DD, moments RFC 3339, amounts decimal text.
 */
export interface MovieModel {
  readonly id: string;
  readonly title: string;
  readonly description: string | null;
  readonly releaseDate: string | null;
  readonly releaseYear: number | null;
  readonly runtimeMinutes: number | null;
  readonly certification: Certification | null;
  readonly languages: readonly string[];
  readonly posterUrl: string | null;
  readonly productionBudget: MoneyModel | null;
  readonly worldwideGross: MoneyModel | null;
  readonly domesticGross: MoneyModel | null;
  readonly domesticDvdSales: MoneyModel | null;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** The lists of a stored answer, which are shown as they were; otherwise they are read. */
  readonly lists?: MovieLists;
}

/** What a movie has lists of. */
export interface MovieLists {
  readonly genres: readonly GenreModel[];
  readonly directors: readonly MovieCredit[];
  readonly cast: readonly MovieCredit[];
  readonly externalIds: readonly { readonly source: string; readonly value: string }[];
  readonly externalRatings: readonly ExternalRating[];
}

/** An exact amount as decimal text, and its ISO 4217 currency. */
export interface MoneyModel {
  readonly amount: string;
  readonly currency: string;
}

/** A genre; `movieCount` where the query that found it counted as well. */
export interface GenreModel {
  readonly id: string;
  readonly name: string;
  readonly movieCount?: number;
}

export interface PersonModel {
  readonly id: string;
  readonly name: string;
}

/** One part of one person in one movie, both of them read with it. */
export interface CreditModel extends MovieCredit {
  readonly movie: MovieModel;
}

/** A credit as read for a movie that is at hand. */
export interface MovieCredit {
  readonly role: CreditRole;
  readonly position: number;
  readonly character: string | null;
  readonly person: PersonModel;
}

/** A page of movies; the total is asked for only when the client wants it. */
export interface MovieConnectionModel extends Connection<MovieModel> {
  readonly total: () => Promise<number>;
}

/** A page of a person's credits; the total is asked for only when the client wants it. */
export interface CreditConnectionModel extends Connection<CreditModel> {
  readonly total: () => Promise<number>;
}

/** What a search found, the best first. */
export interface SearchResultsModel {
  readonly hits: readonly SearchHitModel[];
  readonly hasMore: boolean;
}

/** A movie or person that a search found; `rank` counts from 1, `score` is from 0 to 1. */
export interface SearchHitModel {
  readonly node: SearchNodeModel;
  readonly rank: number;
  readonly score: number;
  readonly highlights: readonly { readonly field: SearchField; readonly segments: readonly Segment[] }[];
}

/** What a search can find; a movie has a title, a person none. */
export type SearchNodeModel = MovieModel | PersonModel;

/** How the schema's own scalars are held in memory. */
export interface ScalarTypes {
  readonly Date: string;
  readonly DateTime: string;
  readonly Decimal: string;
  readonly CurrencyCode: string;
}

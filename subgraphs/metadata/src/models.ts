import type { Connection } from '@cinegraph/subgraph/pagination';
import type { Certification, CreditRole, ExternalRating, SearchField } from './generated/resolvers.js';
import type { Segment } from './queries/search-highlight.js';

/** The inputs that rules check, in the form that GraphQL parsed them to. */
export type { ExternalIdInput, MovieChanges, MovieFilter, PersonInput } from './generated/resolvers.js';

/**
 * A movie as queries return it. It is plain JSON, so that the result of an idempotent command can be stored
 * and returned again unchanged. Days are YYYY-MM-DD, times are RFC 3339, amounts are decimal text.
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
  /** The lists of a stored result, returned as they were then. Without it, loaders read the lists. */
  readonly lists?: MovieLists;
}

/** The lists of a movie. */
export interface MovieLists {
  readonly genres: readonly GenreModel[];
  readonly directors: readonly MovieCredit[];
  readonly cast: readonly MovieCredit[];
  readonly externalIds: readonly { readonly source: string; readonly value: string }[];
  readonly externalRatings: readonly ExternalRating[];
}

/** An exact amount as decimal text, and its currency as an ISO 4217 code. */
export interface MoneyModel {
  readonly amount: string;
  readonly currency: string;
}

/** A genre. `movieCount` is set if the query that found the genre also counted its movies. */
export interface GenreModel {
  readonly id: string;
  readonly name: string;
  readonly movieCount?: number;
}

/** An object that `Query.node` returns, with the name of its type. */
export type NodeModel =
  | (MovieModel & { readonly __typename: 'Movie' })
  | (PersonModel & { readonly __typename: 'Person' })
  | (GenreModel & { readonly __typename: 'Genre' })
  | { readonly __typename: 'Rating'; readonly id: string };

/** A person who can be credited in movies. */
export interface PersonModel {
  readonly id: string;
  readonly name: string;
}

/** One part of one person in one movie, with the movie and the person. */
export interface CreditModel extends MovieCredit {
  readonly movie: MovieModel;
}

/** One part of one person in a movie that the caller already has. */
export interface MovieCredit {
  readonly role: CreditRole;
  readonly position: number;
  readonly character: string | null;
  readonly person: PersonModel;
}

/** A page of movies. `total` runs a query, so it is called only if the client selects it. */
export interface MovieConnectionModel extends Connection<MovieModel> {
  readonly total: () => Promise<number>;
}

/** A page of a person's credits. `total` runs a query, so it is called only if the client selects it. */
export interface CreditConnectionModel extends Connection<CreditModel> {
  readonly total: () => Promise<number>;
}

/** The hits of a search, the best first. `hasMore` says that more would match. */
export interface SearchResultsModel {
  readonly hits: readonly SearchHitModel[];
  readonly hasMore: boolean;
}

/** A movie or a person that a search found. `rank` counts from 1, `score` is from 0 to 1. */
export interface SearchHitModel {
  readonly node: SearchNodeModel;
  readonly rank: number;
  readonly score: number;
  readonly highlights: readonly { readonly field: SearchField; readonly segments: readonly Segment[] }[];
}

/** A movie or a person. Only a movie has a title, which distinguishes the two. */
export type SearchNodeModel = MovieModel | PersonModel;

/** The type in memory of each custom scalar of the schema. */
export interface ScalarTypes {
  readonly Date: string;
  readonly DateTime: string;
  readonly Decimal: string;
  readonly CurrencyCode: string;
}

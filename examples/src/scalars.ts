/** What each scalar of the schema is in TypeScript, as JSON carries it. */
export interface ScalarTypes {
  readonly CurrencyCode: string;
  readonly Date: string;
  readonly DateTime: string;
  readonly Decimal: string;
  readonly Score: number;
}

/** The TypeScript type of each custom scalar of the schema, in JSON. */
export interface ScalarTypes {
  readonly CurrencyCode: string;
  readonly Date: string;
  readonly DateTime: string;
  readonly Decimal: string;
  readonly Score: number;
}

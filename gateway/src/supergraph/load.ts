import type { CostRules } from '@cinegraph/service/list-cost';
import type { Logger } from '@cinegraph/service/logger';
import { markOneOfInputs } from '@cinegraph/service/one-of';
import { isEnumType, parse, validateSchema, type GraphQLSchema } from 'graphql';
import { subgraphUrlVariable } from '../config.js';
import { createExecutor, type Execute } from '../execution/executor.js';
import { openStockExecutor, type StockExecutor } from '../execution/stock.js';
import { readTypeConditions } from '../execution/type-conditions.js';
import { createPlanner } from '../planning/planner.js';
import type { ClientSet, OpenedClient } from '../fetching/clients.js';
import { readFieldRules } from './field-rules.js';

/** A supergraph that is ready to be served. */
export interface LoadedSupergraph {
  readonly sdl: string;
  readonly schema: GraphQLSchema;
  /** The codes with which its subgraphs refuse: the values of the enum `ErrorCode`, if the schema has one. */
  readonly errorCodes: ReadonlySet<string>;
  /** How its `@cost` and `@listSize` size single fields; undefined if it has none. */
  readonly ofField: CostRules['ofField'];
  readonly execute: Execute;
  /** The executor of @apollo/gateway, if it is the one in use. */
  readonly stock: StockExecutor | undefined;
}

/**
 * Loads a supergraph: builds its API schema, its executor and a client for each subgraph, and makes those
 * clients the current ones. `subgraphUrls` overrides routing URLs by variable name. `validate` also checks
 * the composition rules, which a composed supergraph satisfies anyway and which take a third more time.
 * Throws if a part cannot be built; the current clients are then unchanged.
 */
export const loadSupergraph = async (options: {
  sdl: string;
  validate: boolean;
  clients: ClientSet;
  subgraphUrls: ReadonlyMap<string, string>;
  executor: 'own' | 'stock';
  logger: Logger;
}): Promise<LoadedSupergraph> => {
  const { sdl, validate, clients, subgraphUrls, executor, logger } = options;
  const opened = new Map<string, OpenedClient>();
  const stock = await openStockExecutor({
    sdl,
    validate,
    logger,
    clientOf: ({ name, url: routingUrl }) => {
      const url = subgraphUrls.get(subgraphUrlVariable(name)) ?? routingUrl;
      const client = clients.open(name, url);
      opened.set(name, { url, client });
      return client;
    },
  });
  const { schema } = stock;
  const document = parse(sdl, { noLocation: true });
  markOneOfInputs(schema, document);
  const [invalid] = validateSchema(schema);
  if (invalid) throw invalid;
  const variables = new Set([...opened.keys()].map(subgraphUrlVariable));
  for (const variable of subgraphUrls.keys()) {
    if (!variables.has(variable)) logger.warn({ variable }, 'the supergraph has no subgraph of this name');
  }
  clients.serve(opened);
  const ofField = readFieldRules(document);
  const planner = await createPlanner({ sdl });
  const execute = createExecutor({
    schema,
    types: readTypeConditions(document),
    planner,
    clientOf: (name) => {
      const client = opened.get(name)?.client;
      if (!client) throw new Error(`the plan names the unknown subgraph ${name}`);
      return client;
    },
    overrideLabels: () => [],
  });
  return {
    sdl,
    schema,
    errorCodes: errorCodesOf(schema),
    ofField,
    execute,
    stock: executor === 'stock' ? stock : undefined,
  };
};

const errorCodesOf = (schema: GraphQLSchema): ReadonlySet<string> => {
  const type = schema.getType('ErrorCode');
  return new Set(isEnumType(type) ? type.getValues().map(({ name }) => name) : []);
};

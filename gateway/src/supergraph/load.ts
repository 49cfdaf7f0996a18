import { withDefer } from '@cinegraph/service/defer';
import type { Logger } from '@cinegraph/service/logger';
import { markOneOfInputs } from '@cinegraph/service/one-of';
import {
  isEnumType,
  isInterfaceType,
  isObjectType,
  parse,
  validateSchema,
  type GraphQLSchema,
} from 'graphql';
import type { Config } from '../config.js';
import { createExecutor, type Execute } from '../execution/executor.js';
import { openStockExecutor, type StockExecutor } from '../execution/stock.js';
import { readTypeConditions } from '../execution/type-conditions.js';
import type { ClientSet, OpenedClient } from '../fetching/clients.js';
import { createPlanner, type Planner } from '../planning/planner.js';
import { warmUp } from '../planning/warm-up.js';
import { readClientFields } from './client-fields.js';
import { loadableSdl } from './features.js';
import { readFieldRules, type CostOfField } from './field-rules.js';
import { readOverrides } from './overrides.js';
import { separateRequiredArguments } from './required-arguments.js';
import { readRequirements } from './requirements.js';

/** A supergraph that is ready to be served. */
export interface LoadedSupergraph {
  readonly sdl: string;
  readonly schema: GraphQLSchema;
  /** The codes with which its subgraphs refuse: the values of the enum `ErrorCode`, if the schema has one. */
  readonly errorCodes: ReadonlySet<string>;
  /** How its `@cost` and `@listSize` size and weigh single fields. */
  readonly ofField: CostOfField;
  readonly executor:
    | { readonly kind: 'own'; readonly execute: Execute }
    | { readonly kind: 'stock'; readonly execute: StockExecutor['execute'] };
  /** Stop it once no request may still be served on this supergraph. Undefined for the stock executor. */
  readonly planner: Planner | undefined;
}

/**
 * Loads a supergraph: builds its API schema, its executor and a client for each subgraph, and makes those
 * clients the current ones. What `replaces` served most is planned before that. `validate` also checks
 * the composition rules, which a composed supergraph satisfies anyway and which take a third more time.
 * Throws if a part cannot be built; the current clients are then unchanged.
 */
export const loadSupergraph = async (options: {
  sdl: string;
  validate: boolean;
  clients: ClientSet;
  settings: Pick<
    Config,
    | 'executor'
    | 'urlOf'
    | 'variablesOfOthers'
    | 'overrideLabels'
    | 'budgets'
    | 'clientFields'
    | 'introspection'
  >;
  replaces: LoadedSupergraph | undefined;
  logger: Logger;
}): Promise<LoadedSupergraph> => {
  const { sdl, validate, clients, settings, replaces, logger } = options;
  const { executor, overrideLabels, clientFields, introspection } = settings;
  const document = parse(sdl, { noLocation: true });
  const opened = new Map<string, OpenedClient>();
  const stock = await openStockExecutor({
    sdl: loadableSdl(sdl, document, executor),
    validate,
    logger,
    clientOf: ({ name, url: routingUrl }) => {
      const url = settings.urlOf(name) ?? routingUrl;
      const client = clients.open(name, url);
      opened.set(name, { url, client });
      return client;
    },
  });
  // The stock executor ignores @defer, so that its schema must refuse it.
  const schema = executor === 'stock' ? stock.schema : withDefer(stock.schema);
  markOneOfInputs(schema, document);
  const [invalid] = validateSchema(schema);
  if (invalid) throw invalid;
  for (const variable of settings.variablesOfOthers([...opened.keys()]))
    logger.warn({ variable }, 'this variable is not used: the supergraph has no subgraph of its name');
  const named = { BUDGET_FIELDS: Object.keys(settings.budgets.fields), CLIENT_FIELDS: clientFields };
  for (const [variable, fields] of Object.entries(named)) {
    for (const field of fields.filter((one) => !hasField(schema, one)))
      logger.warn({ variable, field }, 'the supergraph does not have a field that this variable names');
  }
  const ofField = readFieldRules(document);
  const served = { sdl, schema, errorCodes: errorCodesOf(schema), ofField };
  if (executor === 'stock') {
    clients.serve(opened);
    return {
      ...served,
      executor: { kind: 'stock', execute: stock.execute },
      planner: undefined,
    };
  }
  const plannerSupergraph = separateRequiredArguments(sdl, document);
  const planner = await createPlanner({ sdl: plannerSupergraph.sdl, logger });
  if (replaces?.planner) await warmUp({ previous: replaces.planner, next: planner, logger });
  clients.serve(opened);
  const dependsOnClient = readClientFields(schema, clientFields);
  const execute = createExecutor({
    schema,
    types: readTypeConditions(document),
    planner,
    clientOf: (name, fetched) => {
      const client = opened.get(name)?.client;
      if (!client) throw new Error(`the plan names the unknown subgraph ${name}`);
      return dependsOnClient(fetched) ? client : client.anonymous;
    },
    supergraph: plannerSupergraph,
    overrideLabels: readOverrides(document, overrideLabels),
    requirements: readRequirements(document),
    hidesRefused: introspection === 'visible',
    logger,
  });
  return {
    ...served,
    executor: { kind: 'own', execute },
    planner,
  };
};

/** Returns true for the coordinate of a field, `Type.field`. */
const hasField = (schema: GraphQLSchema, coordinate: string): boolean => {
  const [typeName = '', fieldName = ''] = coordinate.split('.');
  const type = schema.getType(typeName);
  return (isObjectType(type) || isInterfaceType(type)) && Object.hasOwn(type.getFields(), fieldName);
};

const errorCodesOf = (schema: GraphQLSchema): ReadonlySet<string> => {
  const type = schema.getType('ErrorCode');
  return new Set(isEnumType(type) ? type.getValues().map(({ name }) => name) : []);
};

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { seededRandom, type SeededRandom } from '@cinegraph/testing/seed';
import {
  getOperationAST,
  GraphQLError,
  isAbstractType,
  Kind,
  parse,
  print,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type GraphQLSchema,
} from 'graphql';
import type { SeenRequest } from '../../gateway/test/support/stub-subgraph.js';
import { firstLoss, withDefers } from './support/deferred.js';
import { compare, createMonolith, usualSeed, type Refuses } from './support/differential.js';
import { everyDirective, everyDirectiveRules } from './support/every-directive.js';
import { generateOperation } from './support/generator.js';
import { merged, payloadsOf } from './support/parts.js';
import {
  nobody,
  protecting,
  somebody,
  startProtected,
  type Asker,
  type ProtectedSupergraph,
} from './support/protected.js';
import { printOperation, type GeneratedOperation } from './support/shrink.js';
import { composeSubgraphs, type Answer } from './support/supergraph.js';
import { createWorld } from './support/world.js';

/** How many operations are compared for each viewer. A longer run finds more. */
const count = Number(process.env['TEST_OPERATIONS'] ?? 100);

const signedIn = ({ viewer }: Asker): boolean => viewer !== null;
const scope =
  (...scopes: string[]) =>
  ({ viewer }: Asker): boolean =>
    scopes.some((name) => viewer?.scopes.includes(name) === true);
const policy =
  (name: string) =>
  ({ policies }: Asker): boolean =>
    policies.includes(name);

/** Where each directive is added: the subgraph, the text before it, the directive, and who may see it. */
const rules: readonly (readonly [
  coordinate: string,
  subgraphs: string,
  text: string,
  directive: string,
  allows: (asker: Asker) => boolean,
])[] = [
  ['Book.pages', 'items', 'pages: Int!', '@authenticated', signedIn],
  [
    'Book.title',
    'items',
    'type Book implements Media & Node @key(fields: "id") {\n      id: ID! title: String',
    '@requiresScopes(scopes: [["books"]])',
    scope('books'),
  ],
  [
    'Film',
    'items',
    'type Film implements Media & Node @key(fields: "id")',
    '@requiresScopes(scopes: [["films"], ["all"]])',
    scope('films', 'all'),
  ],
  ['Film.length', 'items', 'length(unit: Unit = MIN): Float', '@authenticated', signedIn],
  ['Note', 'items', 'type Note', '@authenticated', signedIn],
  ['Kind', 'items', 'enum Kind', '@requiresScopes(scopes: ["kinds"])', scope('kinds')],
  ['JSON', 'items', 'scalar JSON', '@policy(policies: [["json"]])', policy('json')],
  ['Item.tags', 'items', 'tags: [String]', '@policy(policies: [["tags"]])', policy('tags')],
  ['Item.sku', 'items', 'sku: String!', '@authenticated', signedIn],
  ['Query.strict', 'items', 'strict: Strict!', '@authenticated', signedIn],
  ['Strict.a', 'items', 'a: Int!', '@requiresScopes(scopes: "all")', scope('all')],
  ['Mutation.reset', 'items', 'reset(all: Boolean): Int', '@authenticated', signedIn],
  ['Person.email', 'prices', 'email: String', '@authenticated', signedIn],
  ['Item.label', 'prices', 'label: String @requires(fields: "size { w }")', '@authenticated', signedIn],
  [
    'Item.reviews',
    'prices',
    'reviews(first: Int): [Review!]!',
    '@requiresScopes(scopes: [["all"]])',
    scope('all'),
  ],
  ['Media.rating', 'prices', 'rating: Float', '@requiresScopes(scopes: [["ratings"]])', scope('ratings')],
  ['Media.next', 'prices', 'next: Media', '@authenticated', signedIn],
  ['Address', 'people', 'type Address', '@policy(policies: [["homes"]])', policy('homes')],
  ['Person.friends', 'people', 'friends(first: Int = 2): [Person!]', '@authenticated', signedIn],
];

const keys: ReadonlySet<string> = new Set(['id', 'sku', 'ref', 'code', '__typename', '_entities']);

/** The position of the root field's index in the path to a node of a document. */
const rootFieldInPath = 4;

/** The length of the path to a field of an entity in a document for a subgraph. */
const entityFieldDepth = 11;

const sdls = Object.fromEntries(
  Object.entries(everyDirective).map(([name, sdl]) => {
    let text = sdl;
    for (const [, subgraph, before, directive] of rules) {
      if (subgraph !== name) continue;
      if (!text.includes(before)) throw new Error(`${name} has no ${before}`);
      text = text.replace(before, `${before} ${directive}`);
    }
    return [name, protecting + text];
  }),
);

describe('generated operations on a supergraph that protects fields of every kind', () => {
  let supergraph: ProtectedSupergraph;
  let monolith: ReturnType<typeof createMonolith>;
  let subgraphSchemas: Readonly<Record<string, GraphQLSchema>>;
  beforeAll(async () => {
    const composed = composeSubgraphs(
      Object.entries(sdls).map(([name, typeDefs]) => ({ name, url: `http://${name}`, typeDefs })),
    );
    const world = createWorld(composed.apiSchema(), everyDirectiveRules);
    monolith = createMonolith(composed.apiSchema(), world);
    supergraph = await startProtected(
      Object.fromEntries(
        Object.entries(sdls).map(([name, sdl]) => [name, { sdl, resolvers: world.resolversOf(sdl) }]),
      ),
    );
    subgraphSchemas = Object.fromEntries(
      Object.entries(sdls).map(([name, sdl]) => [name, buildSubgraphSchema(parse(sdl))]),
    );
  });
  afterAll(() => supergraph.stop());

  const typesOf = (type: string): readonly string[] => {
    const declared = supergraph.schema.getType(type);
    return isAbstractType(declared)
      ? supergraph.schema.getPossibleTypes(declared).map(({ name }) => name)
      : [type];
  };

  const refusalOf = (asker: Asker): Refuses => {
    const refused = new Set<string>();
    for (const [coordinate, , , , allows] of rules) {
      if (allows(asker)) continue;
      const [type = '', field] = coordinate.split('.');
      for (const one of typesOf(type)) refused.add(field === undefined ? one : `${one}.${field}`);
    }
    return (type, field) =>
      field === undefined
        ? typesOf(type).every((one) => refused.has(one))
        : refused.has(type) || refused.has(`${type}.${field}`);
  };

  /** Returns the fields of a request that the viewer may not see, except keys. */
  const leaks = (subgraph: string, { query, variables }: SeenRequest, refuses: Refuses): string[] => {
    const schema = subgraphSchemas[subgraph];
    if (!schema) throw new Error(`there is no ${subgraph}`);
    const found: string[] = [];
    const types = new TypeInfo(schema);
    const document = parse(query);
    const [operation] = document.definitions;
    if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error('a fetch begins with its operation');
    // A request may have several fields `_entities`, each with a variable for its representations.
    const entitiesAt = (rootField: number): readonly { id?: string }[] => {
      const field = operation.selectionSet.selections[rootField];
      const argument = field?.kind === Kind.FIELD ? field.arguments?.[0]?.value : undefined;
      return argument?.kind === Kind.VARIABLE && argument.name.value.startsWith('representations')
        ? (variables[argument.name.value] as readonly { id?: string }[])
        : [];
    };
    visit(
      document,
      visitWithTypeInfo(types, {
        Field: ({ name }, _key, _parent, path) => {
          const parent = types.getParentType()?.name ?? '';
          if (keys.has(name.value)) return;
          // For an interface object, the ids say which types they are of.
          const isInterfaceObject = parent === 'Media' && subgraph !== 'items';
          const entities = entitiesAt(Number(path[rootFieldInPath]));
          const concrete =
            isInterfaceObject && entities.length > 0 && path.length === entityFieldDepth
              ? entities.map(({ id }) => id?.split(':')[0] ?? '')
              : typesOf(parent);
          for (const type of concrete) {
            if (refuses(type, name.value)) found.push(`${subgraph} was asked for ${type}.${name.value}`);
          }
        },
      }),
    );
    return found;
  };

  const differenceOf = async (
    operation: GeneratedOperation,
    asker: Asker,
    refuses: Refuses,
  ): Promise<string | undefined> => {
    for (const { seen } of Object.values(supergraph.subgraphs)) seen.length = 0;
    let answer: Answer;
    try {
      const { data, errors } = await supergraph.execute(operation.document, asker, operation.variables);
      answer = JSON.parse(
        JSON.stringify({ status: 200, text: '', data: JSON.parse(data.toString()), errors }),
      ) as Answer;
    } catch (error) {
      if (error instanceof GraphQLError && error.extensions['code'] === 'OPERATION_TOO_COMPLEX')
        return 'refused';
      throw error;
    }
    const leaked = allLeaks(refuses);
    return leaked === '' ? compare(answer, monolith(operation, refuses)) : leaked;
  };

  /** Returns what subgraphs were asked that the viewer may not see; '' if there is nothing. */
  const allLeaks = (refuses: Refuses): string =>
    Object.entries(supergraph.subgraphs)
      .flatMap(([name, { seen }]) => seen.flatMap((request) => leaks(name, request, refuses)))
      .join('\n');

  /** Compares an operation with the same one in parts. */
  const differenceInParts = async (
    { document, variables }: GeneratedOperation,
    { asker, random }: { asker: Asker; random: SeededRandom },
  ): Promise<string | undefined> => {
    const whole = await supergraph.execute(document, asker, variables);
    const inParts = withDefers(document, random);
    for (const { seen } of Object.values(supergraph.subgraphs)) seen.length = 0;
    const payloads = await payloadsOf(await supergraph.execute(inParts, asker, variables));
    const leaked = allLeaks(refusalOf(asker));
    const { data, errors } = merged(payloads);
    const expected: unknown = JSON.parse(whole.data.toString());
    const hasErrors = whole.errors.length > 0;
    const difference = firstLoss(expected, data) ?? (hasErrors ? undefined : firstLoss(data, expected));
    if (leaked === '' && difference === undefined && errors.length > 0 === hasErrors) return undefined;
    return [leaked, difference, print(inParts), JSON.stringify(payloads), whole.data.toString()].join('\n');
  };

  const askers: readonly (readonly [who: string, asker: Asker])[] = [
    ['nobody', nobody],
    ['a viewer without scopes', somebody()],
    ['a viewer with some scopes', somebody(['films', 'kinds'], ['tags'])],
    ['a viewer with other scopes', somebody(['books', 'ratings'], ['homes', 'json'])],
    ['a viewer with all rights', somebody(['books', 'all', 'kinds', 'ratings'], ['homes', 'json', 'tags'])],
  ];

  it.each(askers)('return to %s what one schema does whose protected fields throw', async (who, asker) => {
    const random = seededRandom(who, usualSeed);
    const refuses = refusalOf(asker);
    const differences: string[] = [];
    let refused = 0;
    for (let n = 0; n < count && differences.length < 3; n += 1) {
      const operation = generateOperation(supergraph.schema, random);
      const difference = await differenceOf(operation, asker, refuses);
      if (difference === 'refused') refused += 1;
      else if (difference !== undefined) differences.push(`${printOperation(operation)}\n${difference}`);
    }
    expect(differences.join('\n\n')).toBe('');
    expect(refused).toBeLessThan(count * 0.1);
  });

  it.each(askers)('return to %s in parts what they return as a whole', async (who, asker) => {
    const random = seededRandom(`@defer for ${who}`, usualSeed);
    const differences: string[] = [];
    for (let n = 0; n < count / 2 && differences.length < 3; n += 1) {
      const operation = generateOperation(supergraph.schema, random);
      if (getOperationAST(operation.document)?.operation !== 'query') continue;
      const difference = await differenceInParts(operation, { asker, random }).catch((error: unknown) => {
        if (error instanceof GraphQLError && error.extensions['code'] === 'OPERATION_TOO_COMPLEX')
          return undefined;
        throw error;
      });
      if (difference !== undefined) differences.push(difference);
    }
    expect(differences.join('\n\n')).toBe('');
  });
});

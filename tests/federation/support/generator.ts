import {
  doTypesOverlap,
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  Kind,
  parse,
  validate,
  type DocumentNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';
import type { SeededRandom } from '@cinegraph/testing/seed';
import { declaredOnly, prune, without, type GeneratedOperation } from './shrink.js';

const maxDepth = 4;

/** Aliases that are likely to meet: names of keys, of required fields, and of JavaScript. */
const aliases = [
  'id',
  'sku',
  'title',
  'name',
  'x',
  'y',
  '__typename',
  'constructor',
  'size',
  'price',
  '_entities',
];

/**
 * Generates a valid operation: aliases that meet, fragments on every kind of type, `@skip` and `@include`
 * anywhere, arguments as literals and variables, nulls and defaults.
 */
export const generateOperation = (schema: GraphQLSchema, random: SeededRandom): GeneratedOperation => {
  for (;;) {
    const generated = generateOnce(schema, random);
    const document = repair(schema, generated.document);
    if (document) return { document, variables: declaredOnly(document, generated.variables) };
  }
};

const generateOnce = (schema: GraphQLSchema, random: SeededRandom): GeneratedOperation => {
  const definitions: string[] = [];
  const variables: Record<string, unknown> = {};
  const fragments: { name: string; type: GraphQLCompositeType; text: string }[] = [];
  const compositeTypes = Object.values(schema.getTypeMap()).filter(
    (type): type is GraphQLCompositeType =>
      isCompositeType(type) && !type.name.startsWith('__') && !['Query', 'Mutation'].includes(type.name),
  );
  const chance = (percent: number): boolean => random.int(100) < percent;

  const declare = (type: string, value: unknown, defaultLiteral?: string): string => {
    const name = `v${definitions.length}`;
    definitions.push(`$${name}: ${type}${defaultLiteral === undefined ? '' : ` = ${defaultLiteral}`}`);
    if (value !== undefined) variables[name] = value;
    return `$${name}`;
  };

  /** Returns a value of an input type, as JSON and as a literal. */
  const valueOf = (type: GraphQLInputType, depth = 0): { json: unknown; literal: string } => {
    if (!isNonNullType(type) && chance(8)) return { json: null, literal: 'null' };
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      const items = Array.from({ length: random.int(3) }, () => valueOf(nullable.ofType, depth + 1));
      return {
        json: items.map(({ json }) => json),
        literal: `[${items.map(({ literal }) => literal).join(', ')}]`,
      };
    }
    if (isInputObjectType(nullable)) {
      const all = Object.values(nullable.getFields());
      const chosen = nullable.isOneOf
        ? [random.pick(all)]
        : all.filter((field) => isRequiredInputField(field) || (depth < 2 && chance(40)));
      const members = chosen.map((field) => {
        let value = valueOf(field.type, depth + 1);
        while (nullable.isOneOf && value.json === null) value = valueOf(field.type, depth + 1);
        return [field.name, value] as const;
      });
      return {
        json: Object.fromEntries(members.map(([name, { json }]) => [name, json])),
        literal: `{${members.map(([name, { literal }]) => `${name}: ${literal}`).join(', ')}}`,
      };
    }
    const plain = scalarOf(nullable);
    return { json: plain, literal: isEnumType(nullable) ? String(plain) : JSON.stringify(plain) };
  };

  const scalarOf = (type: GraphQLInputType): unknown => {
    if (isEnumType(type)) return random.pick(type.getValues()).name;
    switch (getNamedType(type).name) {
      case 'Int':
        return 1 + random.int(5);
      case 'Float':
        return random.pick([0.5, 2, 1.25]);
      case 'Boolean':
        return chance(50);
      default:
        return random.pick(['a', 'b', 'c']);
    }
  };

  const argumentsOf = (field: GraphQLField<unknown, unknown>): string => {
    const written = field.args
      .filter((argument) => isRequiredArgument(argument) || chance(45))
      .map(({ name, type }) => {
        const value = valueOf(type);
        if (chance(55)) return `${name}: ${value.literal}`;
        const nullable = getNullableType(type).toString();
        if (chance(30)) {
          // A variable with a default may stand where null is not accepted, and is never null there.
          const ofDefault = valueOf(isNonNullType(type) ? type : getNullableType(type));
          const isDefault = chance(50);
          return `${name}: ${declare(isNonNullType(type) ? nullable : type.toString(), isDefault || value.json === null ? undefined : value.json, ofDefault.literal === 'null' && isNonNullType(type) ? value.literal : ofDefault.literal)}`;
        }
        return `${name}: ${declare(type.toString(), !isNonNullType(type) && chance(15) ? undefined : value.json)}`;
      });
    return written.length === 0 ? '' : `(${written.join(', ')})`;
  };

  const conditions = (): string => {
    if (!chance(18)) return '';
    const one = (): string => {
      const value = chance(60);
      const condition = chance(40)
        ? String(value)
        : chance(70)
          ? declare('Boolean!', value)
          : declare('Boolean! ', undefined, String(value));
      return ` @${chance(50) ? 'skip' : 'include'}(if: ${condition})`;
    };
    return chance(10) ? ` @skip(if: false)${one().replace('@skip', '@include')}` : one();
  };

  const selection = (type: GraphQLCompositeType, depth: number): string => {
    const fields = isObjectType(type) || 'getFields' in type ? Object.values(type.getFields()) : [];
    const leaves = fields.filter((field) => !isCompositeType(getNamedType(field.type)));
    const usable = depth >= maxDepth ? leaves : fields;
    const parts = Array.from({ length: 1 + random.int(3) }, () => {
      const kind = random.int(100);
      if (kind < 6) return `${alias()}__typename${conditions()}`;
      if (kind < 16) {
        const [fragment] = random.shuffled(fragments.filter((one) => doTypesOverlap(schema, one.type, type)));
        if (fragment) return `...${fragment.name}${conditions()}`;
      }
      if ((kind < 34 || usable.length === 0) && depth < maxDepth) {
        if (chance(10)) return `...${conditions()} { ${selection(type, depth + 1)} }`;
        const overlapping = compositeTypes.filter((one) => doTypesOverlap(schema, one, type));
        const abstract = isAbstractType(type)
          ? overlapping
          : overlapping.filter((one) => one === type || chance(30));
        const condition = abstract.length > 0 ? random.pick(abstract) : type;
        return `... on ${condition.name}${conditions()} { ${selection(condition, depth + 1)} }`;
      }
      if (usable.length === 0) return '__typename';
      const field = random.pick(usable);
      const inner = getNamedType(field.type);
      if (!isCompositeType(inner)) return `${alias()}${field.name}${argumentsOf(field)}${conditions()}`;
      return `${alias()}${field.name}${argumentsOf(field)}${conditions()} { ${selection(inner, depth + 1)} }`;
    });
    return parts.join(' ');
  };

  const alias = (): string => (chance(35) ? `${random.pick(aliases)}: ` : '');

  for (let n = random.int(3); n > 0; n -= 1) {
    const type = random.pick(compositeTypes);
    fragments.push({ name: `F${fragments.length}`, type, text: selection(type, maxDepth - 2) });
  }
  const isMutation = chance(6) && schema.getMutationType();
  const root = isMutation ? schema.getMutationType() : schema.getQueryType();
  if (!root) throw new Error('the schema has no Query');
  const body = selection(root, 0);
  const declared = definitions.length > 0 ? `(${definitions.join(', ')})` : '';
  const text = [
    `${isMutation ? 'mutation' : 'query'}${declared} { ${body} }`,
    ...fragments.map(({ name, type, text: inner }) => `fragment ${name} on ${type.name} { ${inner} }`),
  ].join('\n');
  return { document: parse(text, { noLocation: true }), variables };
};

/** Removes fields that may not stand beside each other, until the document is valid. */
const repair = (schema: GraphQLSchema, document: DocumentNode): DocumentNode | undefined => {
  let current = prune(document);
  for (let attempt = 0; current && attempt < 40; attempt += 1) {
    const [error] = validate(schema, current, undefined, { maxErrors: 1 });
    if (!error) return current;
    const node = error.nodes?.at(-1);
    if (node?.kind !== Kind.FIELD) return undefined;
    current = without(current, node);
  }
  return undefined;
};

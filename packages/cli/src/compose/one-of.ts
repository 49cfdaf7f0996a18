import { Kind, parse, type ConstDirectiveNode, type DocumentNode } from 'graphql';

const federationUrl = /^https:\/\/specs\.apollo\.dev\/federation\/v2\.(\d+)$/;

/** `@composeDirective` requires a specification of the directive; this one has no document. */
const specification = 'https://spec.graphql.org/oneOf/v1.0';

/**
 * Returns a subgraph's document with what composition needs to keep `@oneOf`, which it does not know: the
 * definition, a link and `@composeDirective`. Returns the document itself if no input uses `@oneOf`, or if
 * it composes the directive itself. Returns the reason if the document cannot compose directives.
 */
export const withOneOf = (document: DocumentNode): DocumentNode | string => {
  if (!usesOneOf(document)) return document;
  const directives = document.definitions.flatMap((definition) =>
    definition.kind === Kind.SCHEMA_DEFINITION || definition.kind === Kind.SCHEMA_EXTENSION
      ? (definition.directives ?? [])
      : [],
  );
  const composes = (directive: ConstDirectiveNode) =>
    directive.name.value.endsWith('composeDirective') && textIn(directive, 'name') === '@oneOf';
  if (directives.some(composes)) return document;
  const link = directives.find((directive) => federationUrl.test(textIn(directive, 'url') ?? ''));
  const version = Number(federationUrl.exec((link && textIn(link, 'url')) ?? '')?.[1] ?? 0);
  if (!link || version < 1)
    return '@oneOf is kept only in a subgraph that links federation 2.1 or later. Link it, or remove @oneOf.';
  const isDefined = document.definitions.some(
    (definition) => definition.kind === Kind.DIRECTIVE_DEFINITION && definition.name.value === 'oneOf',
  );
  const isImported = JSON.stringify(link.arguments).includes('"@composeDirective"');
  const composeDirective = isImported
    ? 'composeDirective'
    : `${textIn(link, 'as') ?? 'federation'}__composeDirective`;
  const added = parse(
    `extend schema @link(url: "${specification}", import: ["@oneOf"]) @${composeDirective}(name: "@oneOf")
    ${isDefined ? '' : 'directive @oneOf on INPUT_OBJECT'}`,
    { noLocation: true },
  );
  return { ...document, definitions: [...document.definitions, ...added.definitions] };
};

const usesOneOf = ({ definitions }: DocumentNode): boolean =>
  definitions.some(
    (definition) =>
      (definition.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION ||
        definition.kind === Kind.INPUT_OBJECT_TYPE_EXTENSION) &&
      definition.directives?.some(({ name }) => name.value === 'oneOf'),
  );

const textIn = (directive: ConstDirectiveNode, argument: string): string | undefined => {
  const value = directive.arguments?.find(({ name }) => name.value === argument)?.value;
  return value?.kind === Kind.STRING ? value.value : undefined;
};

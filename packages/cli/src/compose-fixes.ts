/** What to do about a code of composition, one sentence each; the commonest ones, by what people meet. */
export const fixes: Readonly<Partial<Record<string, string>>> = {
  INVALID_GRAPHQL:
    'Correct the schema at the place above; a type must be defined in the same file or be built in.',
  INVALID_FIELD_SHARING:
    'Keep the field in the subgraph that owns it; or, if all of them resolve it to the same value, mark it @shareable in each.',
  FIELD_TYPE_MISMATCH: 'Give the field the same type in every subgraph that defines it.',
  FIELD_ARGUMENT_TYPE_MISMATCH: 'Give the argument the same type in every subgraph that defines the field.',
  INPUT_FIELD_DEFAULT_MISMATCH: 'Give the input field the same default in every subgraph, or none.',
  FIELD_ARGUMENT_DEFAULT_MISMATCH: 'Give the argument the same default in every subgraph, or none.',
  REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH:
    'Add the argument to the field in every subgraph that defines it, or make it nullable.',
  REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH:
    'Add the input field in every subgraph that defines the input, or make it nullable.',
  TYPE_KIND_MISMATCH:
    'Define the type as the same kind (type, interface, union, enum, input, scalar) everywhere.',
  ENUM_VALUE_MISMATCH:
    'An enum used both in arguments and in answers must have the same values in every subgraph: add the missing ones.',
  EMPTY_MERGED_ENUM_TYPE: 'Subgraphs must share at least one value of an enum that is used in arguments.',
  EMPTY_MERGED_INPUT_TYPE: 'Subgraphs must share at least one field of an input type.',
  EXTENSION_WITH_NO_BASE: 'Define the type in one subgraph (leave "extend" away), or correct its name.',
  KEY_INVALID_FIELDS:
    'Name fields in @key that this subgraph defines on the type; one of another subgraph needs @external.',
  KEY_INVALID_FIELDS_TYPE: 'Write the fields of @key as one string: @key(fields: "id").',
  KEY_FIELDS_HAS_ARGS: 'A field with arguments cannot be part of a @key: use another field.',
  KEY_FIELDS_SELECT_INVALID_TYPE:
    'A key cannot hold lists, interfaces or unions: use a field of a scalar or object type.',
  PROVIDES_INVALID_FIELDS:
    'Name fields in @provides that exist on the returned type and are @external in this subgraph.',
  REQUIRES_INVALID_FIELDS:
    'Name fields in @requires that exist on this type and are @external in this subgraph.',
  REQUIRES_FIELDS_MISSING_EXTERNAL: 'Mark the field that @requires names @external in this subgraph.',
  PROVIDES_FIELDS_MISSING_EXTERNAL: 'Mark the field that @provides names @external in this subgraph.',
  EXTERNAL_MISSING_ON_BASE:
    'Define the field in the subgraph that owns it, or take the @external field away.',
  EXTERNAL_UNUSED: 'Take the @external field away, or name it in @key, @requires or @provides.',
  EXTERNAL_TYPE_MISMATCH: 'Give the @external field the type that it has in the subgraph that owns it.',
  EXTERNAL_ARGUMENT_MISSING: 'Repeat the arguments of the field where it is @external.',
  NO_QUERIES: 'At least one subgraph must define a field of Query.',
  QUERY_ROOT_TYPE_INACCESSIBLE: 'Take @inaccessible away from Query.',
  OVERRIDE_FROM_SELF_ERROR: 'Name the other subgraph, the one that gives the field up, in @override(from:).',
  OVERRIDE_SOURCE_HAS_OVERRIDE: 'Only one subgraph may take a field over with @override.',
  SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES:
    'Let every subgraph return at least one common type for the shared field.',
  SATISFIABILITY_ERROR:
    'Give the type a @key that the subgraph with the field can resolve, and define its fields where the query comes from.',
  INVALID_LINK_DIRECTIVE_USAGE:
    'Import each directive that you use: @link(url: ".../federation/v2.x", import: ["@key"]).',
  INVALID_LINK_IDENTIFIER:
    'Take the name and version of the specification in @link(url:) from its documentation.',
  UNKNOWN_FEDERATION_LINK_VERSION:
    'Link a version of federation that is not newer than federation_version in supergraph.yaml.',
  UNKNOWN_LINK_VERSION:
    'Link a version of the specification that is not newer than federation_version in supergraph.yaml.',
  INVALID_SUBGRAPH_NAME: 'Name the subgraph with letters, digits, - and _, beginning with a letter.',
  INTERFACE_FIELD_NO_IMPLEM:
    'Define the field of the interface in every type that implements it, in some subgraph.',
  INCONSISTENT_DESCRIPTION:
    'Describe the element in the same words in each subgraph, or in one of them only.',
  INCONSISTENT_DEFAULT_VALUE_PRESENCE: 'Give the argument its default in every subgraph, or in none.',
  INCONSISTENT_ARGUMENT_PRESENCE:
    'Add the optional argument in every subgraph that defines the field; now it is dropped.',
  INCONSISTENT_INPUT_OBJECT_FIELD:
    'Add the input field in every subgraph that defines the input; now it is dropped.',
  INCONSISTENT_ENUM_VALUE_FOR_INPUT_ENUM:
    'Add the value in every subgraph that defines the enum; now it is dropped.',
  INCONSISTENT_NON_REPEATABLE_DIRECTIVE_ARGUMENTS: 'Give the directive the same arguments in every subgraph.',
  FROM_SUBGRAPH_DOES_NOT_EXIST: 'Correct the name in @override(from:); no subgraph of the list has it.',
};

/** Where to read on about a code that has no sentence here. */
export const furtherHelp = (code: string): string =>
  `look up ${code} in the federation documentation, "Federation composition rules" and "errors".`;

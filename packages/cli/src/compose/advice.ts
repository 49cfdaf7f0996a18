/**
 * The effect of a breaking change on clients, and an alternative that does not break them; one sentence each.
 */
export interface Consequence {
  readonly clients: string;
  readonly instead: string;
}

const refused = 'is refused with GRAPHQL_VALIDATION_FAILED';
const deprecate = 'mark it @deprecated(reason: "…"), and remove it when no client selects it any more.';
const addBeside = 'add a new one and deprecate this one.';

/** The consequences of breaking changes, by the code of the change. */
export const consequences: Readonly<Partial<Record<string, Consequence>>> = {
  FIELD_REMOVED: { clients: `an operation that selects it ${refused}.`, instead: deprecate },
  TYPE_REMOVED: {
    clients: `an operation that names it, in a fragment or a variable, ${refused}.`,
    instead: 'keep it until no field leads to it any more, and deprecate those fields.',
  },
  TYPE_KIND_CHANGED: {
    clients: `an operation that uses it as its old kind ${refused}.`,
    instead: 'add a type with another name.',
  },
  ENUM_VALUE_REMOVED: {
    clients: `an operation that sends it ${refused}.`,
    instead: deprecate,
  },
  UNION_MEMBER_REMOVED: {
    clients: `an operation with a fragment on it ${refused}.`,
    instead: 'keep it in the union, and stop returning it.',
  },
  OBJECT_TYPE_INTERFACE_REMOVED: {
    clients: `an operation with a fragment on it where the interface is returned ${refused}.`,
    instead: 'keep the interface, and deprecate its fields.',
  },
  FIELD_TYPE_CHANGED: {
    clients: 'responses contain values that generated types do not expect: null, or another type.',
    instead: addBeside,
  },
  FIELD_TYPE_CONFLICTS: {
    clients: `an operation that selects it beside the nullable field of the same name ${refused}.`,
    instead: 'change the fields of all these types together, or add a new one.',
  },
  INPUT_ONE_OF_ADDED: {
    clients: 'a request that sends no field of it, several, or a null is refused.',
    instead: 'add a new input with @oneOf, and deprecate what uses this one.',
  },
  FIELD_ARGUMENT_REMOVED: { clients: `an operation that passes it ${refused}.`, instead: deprecate },
  FIELD_ARGUMENT_ADDED: {
    clients: `an operation that uses the field ${refused}, since it does not pass the argument.`,
    instead: 'make the argument nullable, or give it a default.',
  },
  FIELD_ARGUMENT_TYPE_CHANGED: {
    clients: `an operation that leaves it out, or passes a value of the old type, ${refused}.`,
    instead: addBeside,
  },
  FIELD_ARGUMENT_DEFAULT_CHANGED: {
    clients: `an operation that leaves the argument out ${refused}, since it has no default any more.`,
    instead: 'keep the default, or make the argument nullable.',
  },
  INPUT_FIELD_REMOVED: { clients: 'a request that sends it is refused.', instead: deprecate },
  INPUT_FIELD_ADDED: {
    clients: 'a request with this input is refused, since it does not send the field.',
    instead: 'make the field nullable, or give it a default.',
  },
  INPUT_FIELD_TYPE_CHANGED: {
    clients: 'a request that leaves the field out, or sends a value of the old type, is refused.',
    instead: addBeside,
  },
  INPUT_FIELD_DEFAULT_VALUE_CHANGED: {
    clients: 'a request that leaves the field out is refused, since it has no default any more.',
    instead: 'keep the default, or make the field nullable.',
  },
  DIRECTIVE_REMOVED: { clients: `an operation with this directive ${refused}.`, instead: 'keep it.' },
  DIRECTIVE_LOCATION_REMOVED: {
    clients: `an operation with the directive there ${refused}.`,
    instead: 'keep the location.',
  },
  DIRECTIVE_REPEATABLE_REMOVED: {
    clients: `an operation that uses the directive twice at one location ${refused}.`,
    instead: 'keep it repeatable.',
  },
  DIRECTIVE_ARGUMENT_REMOVED: { clients: `an operation that passes it ${refused}.`, instead: 'keep it.' },
  DIRECTIVE_ARGUMENT_ADDED: {
    clients: `an operation with the directive ${refused}, since it does not pass the argument.`,
    instead: 'make the argument nullable, or give it a default.',
  },
  DIRECTIVE_ARGUMENT_TYPE_CHANGED: {
    clients: `an operation that leaves it out, or passes a value of the old type, ${refused}.`,
    instead: 'add a new argument.',
  },
  DIRECTIVE_ARGUMENT_DEFAULT_VALUE_CHANGED: {
    clients: `an operation that leaves the argument out ${refused}, since it has no default any more.`,
    instead: 'keep the default, or make the argument nullable.',
  },
};

/** The consequence of a code that is not listed here. */
export const furtherConsequence: Consequence = {
  clients:
    'an operation that was written for the published schema may be refused, or may get another response.',
  instead: addBeside,
};
/** How to correct the most common errors and warnings of composition, by their code; one sentence each. */
export const fixes: Readonly<Partial<Record<string, string>>> = {
  INVALID_GRAPHQL:
    'Correct the schema at the location above; a type must be defined in the same file or be built in.',
  ONE_OF_NOT_COMPOSED: 'Add @link(url: "https://specs.apollo.dev/federation/v2.9") to the schema.',
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
    'An enum used both in arguments and in responses must have the same values in every subgraph: add the missing ones.',
  EMPTY_MERGED_ENUM_TYPE: 'Subgraphs must share at least one value of an enum that is used in arguments.',
  EMPTY_MERGED_INPUT_TYPE: 'Subgraphs must share at least one field of an input type.',
  EXTENSION_WITH_NO_BASE: 'Define the type in one subgraph (omit "extend"), or correct its name.',
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
  EXTERNAL_MISSING_ON_BASE: 'Define the field in the subgraph that owns it, or remove the @external field.',
  EXTERNAL_UNUSED: 'Remove the @external field, or name it in @key, @requires or @provides.',
  EXTERNAL_TYPE_MISMATCH: 'Give the @external field the type that it has in the subgraph that owns it.',
  EXTERNAL_ARGUMENT_MISSING: 'Repeat the arguments of the field where it is @external.',
  NO_QUERIES: 'At least one subgraph must define a field of Query.',
  QUERY_ROOT_TYPE_INACCESSIBLE: 'Remove @inaccessible from Query.',
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

/** Returns where to read about a code that is not listed here. */
export const furtherHelp = (code: string): string =>
  `look up ${code} in the federation documentation, "Federation composition rules" and "errors".`;

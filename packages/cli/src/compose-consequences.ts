/** What a breaking change does to clients, and what can be done without hurting them; a sentence each. */
export interface Consequence {
  readonly clients: string;
  readonly instead: string;
}

const refused = 'is refused with GRAPHQL_VALIDATION_FAILED';
const deprecate = 'mark it @deprecated(reason: "…"), and remove it when nobody asks for it any more.';
const addBeside = 'add a new one beside it and deprecate this one.';

/** By the code of the change. */
export const consequences: Readonly<Partial<Record<string, Consequence>>> = {
  FIELD_REMOVED: { clients: `an operation that selects it ${refused}.`, instead: deprecate },
  TYPE_REMOVED: {
    clients: `an operation that names it, in a fragment or a variable, ${refused}.`,
    instead: 'keep it until no field leads to it any more, and deprecate those fields.',
  },
  TYPE_KIND_CHANGED: {
    clients: `an operation that uses it as what it was ${refused}.`,
    instead: 'add a type of another name.',
  },
  ENUM_VALUE_REMOVED: {
    clients: `an operation that sends it ${refused}.`,
    instead: deprecate,
  },
  UNION_MEMBER_REMOVED: {
    clients: `an operation with a fragment on it ${refused}.`,
    instead: 'keep it in the union, and return it no more.',
  },
  OBJECT_TYPE_INTERFACE_REMOVED: {
    clients: `an operation with a fragment on it where the interface is returned ${refused}.`,
    instead: 'keep the interface, and deprecate its fields.',
  },
  FIELD_TYPE_CHANGED: {
    clients: 'answers hold what their generated types do not expect: a null, or a value of another type.',
    instead: addBeside,
  },
  FIELD_ARGUMENT_REMOVED: { clients: `an operation that gives it ${refused}.`, instead: deprecate },
  FIELD_ARGUMENT_ADDED: {
    clients: `an operation that uses the field ${refused}, since it does not give the argument.`,
    instead: 'make the argument nullable, or give it a default.',
  },
  FIELD_ARGUMENT_TYPE_CHANGED: {
    clients: `an operation that leaves it out, or gives it as it was, ${refused}.`,
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
    clients: 'a request that leaves the field out, or sends it as it was, is refused.',
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
    clients: `an operation that has the directive twice in one place ${refused}.`,
    instead: 'keep it repeatable.',
  },
  DIRECTIVE_ARGUMENT_REMOVED: { clients: `an operation that gives it ${refused}.`, instead: 'keep it.' },
  DIRECTIVE_ARGUMENT_ADDED: {
    clients: `an operation with the directive ${refused}, since it does not give the argument.`,
    instead: 'make the argument nullable, or give it a default.',
  },
  DIRECTIVE_ARGUMENT_TYPE_CHANGED: {
    clients: `an operation that leaves it out, or gives it as it was, ${refused}.`,
    instead: 'add a new argument beside it.',
  },
  DIRECTIVE_ARGUMENT_DEFAULT_VALUE_CHANGED: {
    clients: `an operation that leaves the argument out ${refused}, since it has no default any more.`,
    instead: 'keep the default, or make the argument nullable.',
  },
};

/** For a code that has no sentence here. */
export const furtherConsequence: Consequence = {
  clients: 'an operation that was written for the published schema may be refused, or answered otherwise.',
  instead: addBeside,
};

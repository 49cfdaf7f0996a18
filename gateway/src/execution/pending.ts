import type { InlineFragmentNode } from 'graphql';
import type { PathStep } from './faults.js';
import type { Projection } from './completion.js';

/** A deferred fragment of one object that was written without it. */
export interface PendingFragment {
  readonly fragment: InlineFragmentNode;
  /** The client's path of the object. */
  readonly path: readonly PathStep[];
  /** Writes the fields of the fragment; false if a null removed them. The projection has `path`. */
  readonly write: (projection: Projection) => boolean;
}

/** Writes fields of an object at a depth of the projection's path; false if a null removed the object. */
type WriteFields<Fields> = (
  fields: Fields,
  object: Record<string, unknown>,
  projection: Projection,
  depth: number,
) => boolean;

/** Creates what writes objects as `writeFields` does, and remembers their deferred fragments. */
export const createPendingWriter = <Fields extends object>(writeFields: WriteFields<Fields>) => {
  const parts = new WeakMap<Fields, readonly { fragment: InlineFragmentNode; fields: () => Fields }[]>();
  const write: WriteFields<Fields> = (fields, object, projection, depth) => {
    const path = projection.path.slice(0, depth + 1);
    for (const { fragment, fields: ofPart } of parts.get(fields) ?? []) {
      projection.pending.push({ fragment, path, write: (later) => write(ofPart(), object, later, depth) });
    }
    return writeFields(fields, object, projection, depth) || forgetBelow(projection, depth);
  };
  return {
    write,
    /** Adds fragments that stand beside these fields; `compile` is called when the first one is written. */
    add: (
      fields: Fields,
      fragments: readonly InlineFragmentNode[],
      compile: (fragment: InlineFragmentNode) => Fields,
    ): void => {
      if (fragments.length === 0) return;
      const partOf = (fragment: InlineFragmentNode) => {
        let compiled: Fields | undefined;
        return { fragment, fields: () => (compiled ??= compile(fragment)) };
      };
      parts.set(fields, fragments.map(partOf));
    },
  };
};

/** Forgets the deferred fragments at and below a value that becomes null. */
export const forgetBelow = ({ pending, path }: Projection, depth: number): false => {
  const isBelow = (part: PendingFragment): boolean =>
    path.slice(0, depth + 1).every((step, index) => part.path[index] === step);
  for (let last = pending.at(-1); last && isBelow(last); last = pending.at(-1)) pending.pop();
  return false;
};

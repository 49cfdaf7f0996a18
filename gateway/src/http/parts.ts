import type { GraphQLError, GraphQLFormattedError } from 'graphql';
import type { Deliveries, Delivery, Part, WrittenPart } from '../execution/defer.js';
import { quote } from '../execution/numbers.js';

/**
 * A format of responses in parts, by its parameter of `multipart/mixed`: that of graphql 17.0.0-alpha.2, in
 * which each part has a path, and that of alpha.9, in which parts are listed first and then have an id.
 */
export type PartFormat = 'deferSpec=20220824' | 'incrementalSpec=v0.2';

/** How the deliveries of one response are sent. */
export interface PartStream {
  readonly format: PartFormat;
  readonly deliveries: Deliveries;
  /** Masks an error as in the first response. */
  readonly formatError: (error: GraphQLError) => GraphQLFormattedError;
}

const formats: readonly PartFormat[] = ['deferSpec=20220824', 'incrementalSpec=v0.2'];

/**
 * Returns the format of parts that an `Accept` header names with the highest weight, and of equal ones the
 * first; undefined if it names none. `multipart/mixed` without a format, and wildcards, name none: such a
 * client does not know how to put the parts together.
 */
export const chooseFormat = (accept: string | null | undefined): PartFormat | undefined => {
  let best: PartFormat | undefined;
  let bestWeight = 0;
  for (const item of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = item
      .split(';')
      .map((part) => part.trim().toLowerCase().replaceAll('"', ''));
    if (type !== 'multipart/mixed') continue;
    const format = formats.find((one) => parameters.includes(one.toLowerCase()));
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    if (format && Number(weight ?? 1) > bestWeight) [best, bestWeight] = [format, Number(weight ?? 1)];
  }
  return best;
};

/** Returns the media type of a response in parts. */
export const partsContentType = (format: PartFormat): string => `multipart/mixed; boundary="-"; ${format}`;

/** Returns what the first response has beside data, errors and extensions, as JSON members. */
export const firstMembers = ({ format, deliveries: { first } }: PartStream): string => {
  const members = format === 'incrementalSpec=v0.2' && first.length > 0 ? [pendingMember(first)] : [];
  return [...members, `"hasNext":${first.length > 0}`].join();
};

/** Writes the body of a response in parts: one chunk for the first response, and one for each delivery. */
export const writeParts = async function* (
  first: string,
  { format, deliveries, formatError }: PartStream,
): AsyncGenerator<string, void> {
  yield `\r\n---\r\n${partOf(first, deliveries.first.length > 0)}`;
  if (deliveries.first.length === 0) return;
  const write = format === 'deferSpec=20220824' ? writeWithPaths : writeWithIds;
  for await (const delivery of deliveries.later) {
    const errorsText = ({ errors }: WrittenPart): string[] =>
      errors.length === 0 ? [] : [`"errors":${JSON.stringify(errors.map(formatError))}`];
    yield partOf(write(delivery, errorsText), delivery.hasNext);
  }
};

const partOf = (json: string, hasNext: boolean): string =>
  `content-type: application/json; charset=utf-8\r\n\r\n${json}\r\n---${hasNext ? '' : '--'}\r\n`;

type ErrorsText = (part: WrittenPart) => string[];

const writeWithPaths = ({ written, hasNext }: Delivery, errorsText: ErrorsText): string => {
  const incremental = written.map((one) =>
    objectOf(`"data":${String(one.data ?? 'null')}`, ...positionMembers(one.part), ...errorsText(one)),
  );
  return objectOf(`"hasNext":${hasNext}`, `"incremental":[${incremental.join()}]`);
};

const writeWithIds = ({ pending, written, hasNext }: Delivery, errorsText: ErrorsText): string => {
  const incremental: string[] = [];
  const completed: string[] = [];
  for (const one of written) {
    const id = `"id":"${one.part.id}"`;
    if (one.data === undefined) completed.push(objectOf(id, ...errorsText(one)));
    else {
      incremental.push(objectOf(`"data":${String(one.data)}`, id, ...errorsText(one)));
      completed.push(objectOf(id));
    }
  }
  return objectOf(
    `"hasNext":${hasNext}`,
    ...(pending.length > 0 ? [pendingMember(pending)] : []),
    ...(incremental.length > 0 ? [`"incremental":[${incremental.join()}]`] : []),
    `"completed":[${completed.join()}]`,
  );
};

const pendingMember = (parts: readonly Part[]): string =>
  `"pending":[${parts.map((part) => objectOf(`"id":"${part.id}"`, ...positionMembers(part))).join()}]`;

const positionMembers = ({ path, label }: Part): string[] => [
  `"path":${JSON.stringify(path)}`,
  ...(label === undefined ? [] : [`"label":${quote(label)}`]),
];

const objectOf = (...members: readonly string[]): string => `{${members.join()}}`;

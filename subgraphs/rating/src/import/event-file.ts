import { UsageError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/importer';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import {
  faultText,
  isExternalFault,
  readExternalEvent,
  type EventRules,
} from '../consumers/external-event.js';
import { migrations } from '../migrations.js';
import { readExternalRecords } from './external-file.js';
import { openStagedTables, type StagedRating } from './staging.js';

/**
 * Imports a file of external ratings, or standard input if the path is `-`: a JSON array, JSON lines or CSV,
 * in either dialect of the topic `ratings` or as plain ratings. The latest timestamp wins, then the later
 * line. `--scale` (5 or 10) is the highest score of the file and is never guessed. `--id-prefix` is put
 * before a record id that has no colon. docs/rating-files.md describes the formats.
 */
export const eventFile: Importer<StagedRating> = {
  subgraph: 'rating',
  source: 'ratings',
  items: 'ratings',
  migrations,
  chunkSize: 10_000,
  options: ['scale', 'id-prefix'],
  read: async ([path, ...more], { values }) => {
    if (path === undefined || more.length > 0) throw new UsageError(usage);
    const rules: EventRules = { scale: scaleOf(values['scale']), idPrefix: values['id-prefix'] ?? '' };
    const source = await openSource(path);
    return {
      total: source.size,
      position: source.position,
      fingerprint: source.fingerprint && `${source.fingerprint} ${rules.scale} ${rules.idPrefix}`,
      records: eventsOf(source, rules),
    };
  },
  open: openStagedTables('ratings'),
};

const usage =
  'Usage: npm run import -- ratings <file, or - for standard input> --scale <5 or 10> [--id-prefix <prefix of movie ids>]';

const scaleOf = (text: string | undefined): 5 | 10 => {
  if (text === '5') return 5;
  if (text === '10') return 10;
  throw new UsageError(`The highest score of the file is missing: add --scale 5 or --scale 10. ${usage}`);
};

const eventsOf = async function* (
  source: Source,
  rules: EventRules,
): AsyncGenerator<SourceRecord<StagedRating>> {
  for await (const read of readExternalRecords(source)) {
    if ('refused' in read) {
      yield read;
      continue;
    }
    const { record, event, text } = read;
    const rating = readExternalEvent(event, rules);
    yield isExternalFault(rating)
      ? { record, refused: faultText(rating), text }
      : { record, item: { ...rating, eventTime: read.eventTime } };
  }
};

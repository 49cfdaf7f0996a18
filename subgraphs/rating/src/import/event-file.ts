import { StartError } from '@cinegraph/service/start-error';
import type { Importer, SourceRecord } from '@cinegraph/subgraph/import/run-import';
import { openSource, type Source } from '@cinegraph/subgraph/import/source';
import { readExternalRecords } from '../event-source.js';
import { faultText, isExternalFault, readExternalEvent, type EventRules } from '../foreign-event.js';
import { migrations } from '../migrations.js';
import { openStagedTables, type StagedRating } from './staging.js';

/**
 * Rating events of others in a file, or on standard input where it is named `-`: a JSON array, JSON lines or CSV, in either
 * dialect of the topic `ratings`, seen by its first character. Later lines win. `--scale` (5 or 10) says what the top score
 * is and is never guessed; `--id-prefix` turns a bare record id into ours.
 */
export const eventFile: Importer<StagedRating> = {
  subgraph: 'rating',
  source: 'ratings',
  items: 'ratings',
  migrations,
  chunkSize: 10_000,
  options: ['scale', 'id-prefix'],
  read: async ([path, ...more], { values }) => {
    if (path === undefined || more.length > 0) throw new StartError(usage);
    const rules: EventRules = { scale: scaleOf(values['scale']), idPrefix: values['id-prefix'] ?? '' };
    const source = await openSource(path);
    return {
      total: source.size,
      position: source.position,
      identity: source.identity && `${source.identity} ${rules.scale} ${rules.idPrefix}`,
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
  throw new StartError(`Say by --scale 5 or --scale 10 what the top score of the file is. ${usage}`);
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
      : { record, item: { ...rating, eventTime: null } };
  }
};

import { createLogger } from '@cinegraph/service/logger';

/** A logger that writes nothing, for tests that do not read the log. */
export const silentLogger = createLogger({ name: 'test', level: 'silent' });

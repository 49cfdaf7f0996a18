import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { startTelemetry } from './sdk.js';
import { readTelemetrySettings } from './settings.js';
import { StartError } from '../start-error.js';
import { setTracing } from './tracing.js';

// Imported for its effect, before everything else of a process: `import '@cinegraph/service/telemetry/start'` as the first line
// of main.ts. Without an OTLP endpoint in the environment it does nothing, and loads nothing of OpenTelemetry.

/** `@cinegraph/gateway` of the package.json above the entry gives `gateway`. */
const nameOfService = (entry: string): string => {
  const { name } = JSON.parse(readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8')) as {
    name: string;
  };
  return name.slice(name.indexOf('/') + 1);
};

try {
  const settings = readTelemetrySettings(process.env);
  if (settings) {
    const serviceName = settings.serviceName ?? nameOfService(process.argv[1] ?? '');
    // `require`, not `import()`: nothing may be loaded until this is done, and the imports beside this one do not wait.
    setTracing(startTelemetry(createRequire(import.meta.url), { ...settings, serviceName }));
  }
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

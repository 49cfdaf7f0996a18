import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { startTelemetry } from './sdk.js';
import { readTelemetrySettings } from './settings.js';
import { StartError } from '../start-error.js';
import { setTracing } from './tracing.js';

// Starts OpenTelemetry when it is imported. It must be the first import of main.ts, because only modules that
// are loaded later are traced. Without an OTLP endpoint in the environment it does nothing and loads no
// OpenTelemetry package.

/** Returns `gateway` if the package.json above the entry file has the name `@cinegraph/gateway`. */
const serviceNameOf = (entry: string): string => {
  const { name } = JSON.parse(readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8')) as {
    name: string;
  };
  return name.slice(name.indexOf('/') + 1);
};

try {
  const settings = readTelemetrySettings(process.env);
  if (settings) {
    const serviceName = settings.serviceName ?? serviceNameOf(process.argv[1] ?? '');
    // `require` instead of `import()`: the other imports of main.ts do not wait for a promise.
    setTracing(startTelemetry(createRequire(import.meta.url), { ...settings, serviceName }));
  }
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

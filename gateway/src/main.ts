// These two must be first: V8's settings are for what runs later, tracing for modules that are loaded later.
import './v8-settings.js';
import '@cinegraph/service/telemetry/start';
import { createLogger } from '@cinegraph/service/logger';
import { runService } from '@cinegraph/service/run-service';
import { readConfig } from './config.js';
import { startGateway } from './server.js';

await runService({
  start: async () => {
    const config = readConfig(process.env);
    return startGateway(config, createLogger({ name: 'gateway', level: config.logLevel }));
  },
});

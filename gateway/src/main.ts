// Must be first: it traces only modules that are loaded after it.
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

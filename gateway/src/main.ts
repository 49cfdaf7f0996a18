// First: it traces only what is loaded after it.
import '@cinegraph/kit/telemetry';
import { createLogger } from '@cinegraph/kit/logger';
import { runService } from '@cinegraph/kit/service';
import { readConfig } from './config.js';
import { startGateway } from './server.js';

await runService({
  start: async () => {
    const config = readConfig(process.env);
    return startGateway(config, createLogger({ name: 'gateway', level: config.logLevel }));
  },
});

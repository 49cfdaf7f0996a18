import { setTimeout as delay } from 'node:timers/promises';
import { openPostgresBroker } from '@cinegraph/messaging/postgres/broker';
import { createLogger } from '@cinegraph/service/logger';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import pg from 'pg';

// Runs a relay as a process that the test kills. Arguments: the URLs of the outbox database and of the event
// database, and the topic. Writes a line when the broker has published entries that are not marked yet, and
// waits before it marks them.
const [databaseUrl, logUrl, topic] = process.argv.slice(2);
const logger = createLogger({ name: 'relay', level: 'warn' });
const broker = openPostgresBroker({
  clientId: 'orders',
  topics: [{ name: topic, retention: 'time' }],
  logger,
  url: logUrl,
});
await broker.part.start();
await createOutboxRelay({
  pool: new pg.Pool({ connectionString: databaseUrl }),
  broker: {
    ...broker,
    publish: async (messages) => {
      const places = await broker.publish(messages);
      process.stdout.write('published\n');
      await delay(30);
      return places;
    },
  },
  producer: 'orders',
  secret: undefined,
  logger,
}).start();

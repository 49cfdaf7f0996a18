import { setTimeout as delay } from 'node:timers/promises';
import { openPostgresBroker } from '@cinegraph/messaging/postgres/broker';
import { createLogger } from '@cinegraph/service/logger';
import { createOutboxRelay } from '@cinegraph/messaging/outbox/relay';
import pg from 'pg';

// A relay as a process of its own, to be killed: arguments are the URLs of the outbox's database and of the log's.
// It says so on standard output when the broker has taken something that is not marked yet, and takes a while then.
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

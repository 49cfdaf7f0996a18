import { systemClock } from '@cinegraph/service/clock';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { testPool } from '@cinegraph/testing/database';
import { createLogger } from '@cinegraph/service/logger';
import { openBroker } from '@cinegraph/messaging/open-broker';
import { createIngest } from '@cinegraph/rating/consumers/ratings-topic';
import { rating } from '@cinegraph/rating/subgraph';

// Runs only the consumer of ratings, in a process that a test can kill. Its argument has the addresses of
// database and broker.
const { databaseUrl, address, secret } = JSON.parse(process.argv[2]);
const logger = createLogger({ name: 'ingest', level: 'warn' });
const broker = await openBroker({ clientId: 'ingest', topics: rating.topics, logger }, address);
await broker.part.start();
await createConsumer(
  { subgraph: 'rating', broker, pool: testPool(databaseUrl), logger },
  createIngest({ clock: systemClock }, { secret, scale: 10, idPrefix: '' }),
).start();

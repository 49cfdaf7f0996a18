import { systemClock } from '@cinegraph/service/clock';
import { createConsumer } from '@cinegraph/messaging/consumer/consumer';
import { testPool } from '@cinegraph/testing/database';
import { createLogger } from '@cinegraph/service/logger';
import { openBroker } from '@cinegraph/messaging/open-broker';
import { createIngest } from '@cinegraph/rating/consumers/ratings-topic';
import { rating } from '@cinegraph/rating/subgraph';

// The consumer of ratings as a process of its own, to be killed; its argument says where the database and the broker are.
const { databaseUrl, address, secret } = JSON.parse(process.argv[2]);
const logger = createLogger({ name: 'ingest', level: 'warn' });
const broker = await openBroker({ clientId: 'ingest', topics: rating.topics, logger }, address);
await broker.part.start();
await createConsumer(
  { subgraph: 'rating', broker, pool: testPool(databaseUrl), logger },
  createIngest({ clock: systemClock }, { secret, scale: 10, idPrefix: '' }),
).start();

// This import must be the first: only modules that are loaded after it are traced.
import '@cinegraph/service/telemetry/start';
import { runSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { users } from './subgraph.js';

await runSubgraph(users);

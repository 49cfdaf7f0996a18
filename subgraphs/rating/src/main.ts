// First: it traces only what is loaded after it.
import '@cinegraph/service/telemetry/start';
import { runSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { rating } from './subgraph.js';

await runSubgraph(rating);

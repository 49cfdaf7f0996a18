// First: it traces only what is loaded after it.
import '@cinegraph/kit/telemetry';
import { runSubgraph } from '@cinegraph/kit/subgraph';
import { rating } from './subgraph.js';

await runSubgraph(rating);

// This import must be the first: only modules that are loaded after it are traced.
import '@cinegraph/service/telemetry/start';
import { runSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { rating } from './subgraph.js';

await runSubgraph(rating);

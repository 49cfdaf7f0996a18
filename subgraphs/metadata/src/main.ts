// First: it traces only what is loaded after it.
import '@cinegraph/service/telemetry/start';
import { runSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { metadata } from './subgraph.js';

await runSubgraph(metadata);

// First: it traces only what is loaded after it.
import '@cinegraph/kit/telemetry';
import { runSubgraph } from '@cinegraph/kit/subgraph';
import { metadata } from './subgraph.js';

await runSubgraph(metadata);

// This import comes first: only modules that are loaded after it are traced.
import '@cinegraph/service/telemetry/start';
import { runSubgraph } from '@cinegraph/subgraph/run-subgraph';
import { metadata } from './subgraph.js';

await runSubgraph(metadata);

import { runSubgraph } from '@cinegraph/kit/subgraph';
import { metadata } from './subgraph.js';

await runSubgraph(metadata);

import { runSubgraph } from '@cinegraph/kit/subgraph';
import { rating } from './subgraph.js';

await runSubgraph(rating);

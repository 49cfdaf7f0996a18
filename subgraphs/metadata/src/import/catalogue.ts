import { runImport } from '@cinegraph/kit/import';
import { catalogue } from './vega.js';

await runImport(catalogue);

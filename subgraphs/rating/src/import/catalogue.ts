import { runImport } from '@cinegraph/kit/import';
import { catalogueSample } from './sample.js';

await runImport(catalogueSample);

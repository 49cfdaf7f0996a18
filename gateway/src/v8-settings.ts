import { setFlagsFromString } from 'node:v8';

// Both are measured in docs/benchmarks.md, and explained in docs/decisions/0053.

// V8 allocates what survived the first collections among its old objects from then on. In a gateway, that is
// what waits for a subgraph while the first operations are planned; later requests end much sooner. Each old
// object then keeps all that it refers to until the next full collection.
setFlagsFromString('--no-allocation-site-pretenuring');

// A full collection follows when the old objects take 60 % more than after the last one, instead of up to
// 300 %.
setFlagsFromString('--heap-growing-percent=60');

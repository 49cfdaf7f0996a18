import { parentPort, workerData } from 'node:worker_threads';
import { parseOperation, Supergraph } from '@apollo/federation-internals';
import type { PlanReply, PlanRequest, WorkerReady, WorkerSettings } from './messages.js';
import { loadPatchedPlanner } from './patched-planner.js';
import { folderOfThread, setThreadPriority, threadClock } from './thread.js';

/**
 * The number of combinations of fetches that the planner compares, instead of its 10,000. Each takes about
 * 0.1 ms, and the planner sorts the options first, so that later combinations hardly ever win.
 */
const maxEvaluatedPlans = 500;

/**
 * The number of paths to one field beyond which the planner gives up. A field with 600 paths takes 0.15 s,
 * and one with 5,000 exceeds any budget; without the limit it would take the worker with it.
 */
const maxPaths = 5_000;

/** The planner reports its limits, which only very complex operations exceed, as plain errors. */
const limitMessage =
  /^(Number of non-local selections exceeds limit|Exceeded maximum recursive selections|Too many options generated)/;

/** Returns true for a limit of the planner, and for V8's limits of the stack and of sizes. */
const isLimit = (error: Error): boolean => error instanceof RangeError || limitMessage.test(error.message);

/** The priorities of a worker before it has planned for `promptMs`, and from then on. */
const promptPriority = 5;
const laterPriority = 15;

const port = parentPort;
if (!port) throw new Error('planner-worker runs as a worker thread only');

const { QueryPlanner } = loadPatchedPlanner();
const { sdl, promptMs } = workerData as WorkerSettings;
// The gateway has decided already whether it serves a supergraph with these features.
const supergraph = Supergraph.build(sdl, { supportedFeatures: null, validateSupergraph: false });
const schema = supergraph.apiSchema();
const planner = new QueryPlanner(supergraph, {
  exposeDocumentNodeInFetchNode: false,
  incrementalDelivery: { enableDefer: true },
  debug: { maxEvaluatedPlans, pathsLimit: maxPaths },
});

const plan = ({ operation, labels }: PlanRequest): PlanReply => {
  try {
    const built = planner.buildQueryPlan(parseOperation(schema, operation), {
      overrideConditions: new Map(labels.map((label) => [label, true])),
    });
    return { plan: JSON.stringify(built) };
  } catch (error) {
    if (!(error instanceof Error)) return { failure: String(error) };
    return isLimit(error) ? { exceeded: error.message } : { failure: error.stack ?? error.message };
  }
};

const threadFolder = folderOfThread();
const busyMs = threadClock(threadFolder);
const readyAtMs = busyMs();
let isPrompt = promptMs > 0;
port.on('message', (request: PlanRequest) => {
  port.postMessage(plan(request));
  if (!isPrompt || busyMs() - readyAtMs < promptMs) return;
  isPrompt = false;
  setThreadPriority(threadFolder, laterPriority);
});
const ready: WorkerReady = { heapBytes: process.memoryUsage().heapUsed, threadFolder };
port.postMessage(ready);
// Not before, so that a start takes no longer on a busy machine.
setThreadPriority(threadFolder, promptMs > 0 ? promptPriority : laterPriority);

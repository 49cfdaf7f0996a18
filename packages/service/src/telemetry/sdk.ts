import type * as FastifyOtel from '@fastify/otel';
import type * as Api from '@opentelemetry/api';
import type * as OtlpHttp from '@opentelemetry/exporter-trace-otlp-http';
import type * as GraphQL from '@opentelemetry/instrumentation-graphql';
import type * as Pg from '@opentelemetry/instrumentation-pg';
import type * as Undici from '@opentelemetry/instrumentation-undici';
import type * as SdkNode from '@opentelemetry/sdk-node';
import type * as SdkTrace from '@opentelemetry/sdk-trace';
import { createLogger } from '../logger.js';
import type { Tracing } from './tracing.js';
import { safeSpan } from './span-allow-list.js';
import type { TelemetrySettings } from './settings.js';

/** How long a stop waits for the collector. Spans that it has not accepted by then are lost. */
const stopWithinMs = 1_000;

/**
 * Starts OpenTelemetry in this process: spans of incoming HTTP requests (Fastify), outgoing ones (undici),
 * GraphQL and SQL. They continue the caller's trace by W3C `traceparent`. Spans wait in a bounded queue and
 * are sent in the background; if the collector is unavailable they are lost, with one warning.
 *
 * `load` is `require`: the packages, all CommonJS, are loaded synchronously, so that modules loaded later are
 * traced.
 */
export const startTelemetry = (
  load: NodeJS.Require,
  settings: TelemetrySettings & { serviceName: string },
): Tracing => {
  const api = load('@opentelemetry/api') as typeof Api;
  const { SpanKind, trace } = api;
  const { NodeSDK, core, resources } = load('@opentelemetry/sdk-node') as typeof SdkNode;
  const { BatchSpanProcessor } = load('@opentelemetry/sdk-trace') as typeof SdkTrace;
  const { OTLPTraceExporter } = load(
    settings.protocol === 'http/json'
      ? '@opentelemetry/exporter-trace-otlp-http'
      : '@opentelemetry/exporter-trace-otlp-proto',
  ) as typeof OtlpHttp;

  const exporter = new OTLPTraceExporter({ timeoutMillis: settings.exportTimeoutMs });
  const batches = new BatchSpanProcessor({
    exporter: warnOnce(exporter, settings),
    maxQueueSize: settings.maxQueueSize,
    scheduledDelayMillis: settings.scheduleDelayMs,
    exportTimeoutMillis: settings.exportTimeoutMs + 500,
  });
  const propagator = new core.W3CTraceContextPropagator();
  const sdk = new NodeSDK({
    serviceName: settings.serviceName,
    // The detectors of process and host would export the command line and the account.
    resourceDetectors: [resources.envDetector],
    spanProcessors: [sendSafely(batches, SpanKind.SERVER)],
    metricReaders: [],
    logRecordProcessors: [],
    textMapPropagator: propagator,
    instrumentations: instrumentations(load),
  });
  sdk.start();

  return {
    headers: propagator.fields(),
    ids: () => {
      const context = trace.getActiveSpan()?.spanContext();
      return context && { trace_id: context.traceId, span_id: context.spanId };
    },
    traceparent: () => {
      const context = trace.getActiveSpan()?.spanContext();
      return context && traceparentOf(context);
    },
    openSpan: messageSpans(api),
    inSpan: (name, attributes, work) =>
      trace.getTracer('cinegraph').startActiveSpan(name, { attributes }, async (span) => {
        try {
          return await work();
        } catch (error) {
          span.setStatus({ code: api.SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      }),
    stop: async () => {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, stopWithinMs));
      // The exporter's warning says why spans were not accepted.
      await Promise.race([sdk.shutdown().catch(() => undefined), timeout]);
    },
  };
};

/** W3C Trace Context, level 1. */
const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

const traceparentOf = ({ traceId, spanId, traceFlags }: Api.SpanContext): string =>
  `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;

/** Returns the function that opens spans of messages, below the span that a message's `traceparent` names. */
const messageSpans = ({
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
}: typeof Api): Tracing['openSpan'] => {
  const tracer = trace.getTracer('cinegraph');
  const kinds = { producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER };
  return (traceparent, name, kind) => {
    const [, traceId = '', spanId = '', flags = ''] = traceparentPattern.exec(traceparent) ?? [];
    const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
    if (!trace.isSpanContextValid(parent) || !(parent.traceFlags & TraceFlags.SAMPLED)) return undefined;
    const parentContext = trace.setSpanContext(ROOT_CONTEXT, parent);
    const span = tracer.startSpan(name, { kind: kinds[kind] }, parentContext);
    return {
      trace: traceparentOf(span.spanContext()),
      within: (work) => context.with(trace.setSpan(parentContext, span), work),
      end: (outcome) => {
        if (outcome === 'failed') span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  };
};

const instrumentations = (load: NodeJS.Require) => {
  const { FastifyOtelInstrumentation } = load('@fastify/otel') as typeof FastifyOtel;
  const { GraphQLInstrumentation } = load('@opentelemetry/instrumentation-graphql') as typeof GraphQL;
  const { PgInstrumentation } = load('@opentelemetry/instrumentation-pg') as typeof Pg;
  const { UndiciInstrumentation } = load('@opentelemetry/instrumentation-undici') as typeof Undici;
  return [
    new FastifyOtelInstrumentation({
      registerOnInitialization: true,
      instrumentHooks: false,
      ignorePaths: ({ url }) => url.startsWith('/health/'),
      requestHook: (span, request) => {
        span.updateName(`${request.method} ${request.routeOptions.url ?? 'unknown'}`);
      },
      lifecycleHook: (span, { hookName }) => {
        span.updateName(hookName);
      },
    }),
    new UndiciInstrumentation({ requireParentforSpans: true }),
    // A span for each resolver of each row would be thousands, and the time is spent in SQL.
    new GraphQLInstrumentation({ ignoreResolveSpans: true, allowValues: false }),
    new PgInstrumentation({
      requireParentSpan: true,
      ignoreConnectSpans: true,
      enhancedDatabaseReporting: false,
    }),
  ];
};

/**
 * Removes the request's data from finished spans before they are queued. Drops spans outside of a request,
 * such as those of schemas that are parsed at the start.
 */
const sendSafely = (next: SdkTrace.SpanProcessor, serverKind: Api.SpanKind): SdkTrace.SpanProcessor => ({
  onStart: (span, context) => next.onStart(span, context),
  onEnd: (span) => {
    if (span.parentSpanContext || span.kind === serverKind) next.onEnd(safeSpan(span));
  },
  forceFlush: () => next.forceFlush(),
  shutdown: () => next.shutdown(),
});

/** Logs once per process that spans are lost, and why. */
const warnOnce = (
  exporter: SdkTrace.SpanExporter,
  { serviceName, logLevel }: { serviceName: string; logLevel: string },
): SdkTrace.SpanExporter => {
  let warned = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.code !== 0 && !warned) {
          warned = true;
          const { code, message } = (result.error ?? {}) as { code?: unknown; message?: string };
          createLogger({ name: serviceName, level: logLevel }).warn(
            { reason: typeof code === 'string' ? code : message },
            'the collector accepts no traces: they are lost until it does; this warning is not repeated',
          );
        }
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
};

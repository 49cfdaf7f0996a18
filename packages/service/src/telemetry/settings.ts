import { z } from 'zod';
import { millisecondsVariable, readEnv, serviceVariables } from '../env.js';

/** How a traced process sends its spans. Times are in milliseconds. */
export interface TelemetrySettings {
  /** `undefined` stands for the name of the service's package. */
  readonly serviceName: string | undefined;
  readonly protocol: 'http/protobuf' | 'http/json';
  readonly exportTimeoutMs: number;
  readonly scheduleDelayMs: number;
  readonly maxQueueSize: number;
  readonly logLevel: string;
}

const protocolVariable = z.enum(
  ['http/protobuf', 'http/json'],
  'must be http/protobuf or http/json; collectors accept both on port 4318',
);
const endpointVariable = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });

const variables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpointVariable.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpointVariable.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocolVariable.default('http/protobuf'),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocolVariable.optional(),
  OTEL_EXPORTER_OTLP_TIMEOUT: millisecondsVariable.default(2_000),
  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: millisecondsVariable.optional(),
  OTEL_BSP_SCHEDULE_DELAY: millisecondsVariable.default(1_000),
  OTEL_BSP_MAX_QUEUE_SIZE: z.coerce
    .number('must be a number of spans')
    .int('must be a number of spans')
    .min(1, 'must be at least 1')
    .default(2_048),
  OTEL_SERVICE_NAME: z.string().optional(),
  // The service itself reports an invalid level, together with its other variables.
  LOG_LEVEL: serviceVariables.LOG_LEVEL.catch('info'),
};

/**
 * Reads OpenTelemetry's own variables. Returns `undefined` if no OTLP endpoint is set, if `OTEL_SDK_DISABLED`
 * is true, or if `OTEL_TRACES_EXPORTER` is none. Throws a StartError that names each invalid variable.
 */
export const readTelemetrySettings = (source: NodeJS.ProcessEnv): TelemetrySettings | undefined => {
  const endpoints = [source['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'], source['OTEL_EXPORTER_OTLP_ENDPOINT']];
  if (!endpoints.some(Boolean)) return undefined;
  if (source['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined;
  if (source['OTEL_TRACES_EXPORTER'] === 'none') return undefined;
  const env = readEnv(variables, source);
  return {
    serviceName: env.OTEL_SERVICE_NAME,
    protocol: env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL,
    exportTimeoutMs: env.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT ?? env.OTEL_EXPORTER_OTLP_TIMEOUT,
    scheduleDelayMs: env.OTEL_BSP_SCHEDULE_DELAY,
    maxQueueSize: env.OTEL_BSP_MAX_QUEUE_SIZE,
    logLevel: env.LOG_LEVEL,
  };
};

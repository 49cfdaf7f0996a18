import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '@cinegraph/testing/until';
import { closedAddress, startHungCollector } from '../support/collector.js';
import { askRating, createServices, tracesTo } from '../support/services.js';

let services: Awaited<ReturnType<typeof createServices>>;
beforeAll(async () => {
  services = await createServices();
});
afterAll(() => services.remove());

describe('a service whose collector does not accept its traces', () => {
  const askOften = async (url: string) => {
    for (let n = 0; n < 30; n += 1) {
      const { data, errors } = await askRating(url, '{ topRated(first: 1) { nodes { id } } }');
      expect({ data, errors }).toEqual({
        data: { topRated: { nodes: expect.any(Array) } },
        errors: undefined,
      });
    }
  };

  it('a service without a listening collector serves requests, warns once, and exits with 0', async () => {
    const service = services.run('subgraphs/rating', {
      ...tracesTo(await closedAddress()),
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    });
    const url = await service.url;
    await askOften(url);
    await until(() => service.written().stdout.includes('collector'), 'the service has warned');
    await askOften(url);
    const { code, stdout, stderr } = await services.stop(service);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const warnings = stdout.split('\n').filter((line) => line.includes('collector'));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0]!)).toMatchObject({ level: 'warn', name: 'rating', reason: 'ECONNREFUSED' });
  });

  it('a service whose collector never responds serves requests, and exits with 0 without waiting for it', async () => {
    const hung = await startHungCollector();
    // The timeout of the export is ten minutes; the stop must not wait for it.
    const service = services.run('subgraphs/rating', {
      ...tracesTo(hung.url),
      OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    });
    const url = await service.url;
    await askOften(url);
    await until(() => hung.connections() > 0, 'the service has connected');
    await askOften(url);
    const { code, stderr } = await services.stop(service);
    await hung.stop();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('a service with invalid variables of telemetry says what is wrong, and does not start', async () => {
    const service = services.run('subgraphs/rating', {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    });
    const { code, stderr, stdout } = await service.ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/OTLP_ENDPOINT: must be an http[^]*OTLP_PROTOCOL: must be http\/protobuf/);
    expect(stderr).not.toMatch(/^ {4}at /m);
  });
});

describe('a service without a collector', () => {
  /** Returns Node's own report of the modules that a process loads and the connections that it opens. */
  const watch = async (env: Readonly<Record<string, string>>) => {
    const service = services.run('subgraphs/rating', { ...env, NODE_DEBUG: 'module,net' });
    await askRating(await service.url, '{ topRated(first: 1) { nodes { id } } }');
    const { code, stderr } = await services.stop(service);
    expect(code).toBe(0);
    return {
      loaded: new Set(/@opentelemetry\/[a-z-]+|@fastify\/otel/g[Symbol.match](stderr) ?? []),
      connected: new Set(
        [...stderr.matchAll(/attempting to connect to (\S+)/g)].map(([, address]) => address),
      ),
    };
  };

  it('a service without a collector loads no OpenTelemetry package and connects only to its database', async () => {
    const { port } = new URL(services.databases.rating.url);
    const [off, disabled, on] = await Promise.all([
      watch({}),
      watch({ OTEL_EXPORTER_OTLP_ENDPOINT: await closedAddress(), OTEL_SDK_DISABLED: 'true' }),
      watch(tracesTo(await closedAddress())),
    ]);
    expect(off).toEqual({ loaded: new Set(), connected: new Set([`127.0.0.1:${port}`]) });
    expect(disabled).toEqual(off);
    expect([...on.loaded]).toEqual(expect.arrayContaining(['@opentelemetry/sdk-node', '@fastify/otel']));
    expect(on.connected.size).toBe(2);
  });
});

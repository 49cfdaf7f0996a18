import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gatewayVariables, readConfig } from '@cinegraph/gateway/config';
import { brokerVariables, readBrokerAddress } from '@cinegraph/messaging/open-broker';
import { readSubgraphSettings, subgraphVariables } from '@cinegraph/subgraph/settings';
import { ingestVariables } from '@cinegraph/rating/consumers/ratings-topic';
import { subgraphVariable } from '@cinegraph/service/env';
import { readTelemetrySettings } from '@cinegraph/service/telemetry/settings';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';
import {
  composeText,
  expand,
  missingOf,
  readComposeFile,
  type ComposeService,
} from '../support/compose-file.js';
import { readImage, root } from '../support/image.js';

const key = 'k'.repeat(32);
const services = readComposeFile({ POSTGRES_PASSWORD: 'p4ss', SUBGRAPH_KEY: key });
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);
const listed = readSupergraphYaml(`${root}supergraph.yaml`, {}).subgraphs.map((subgraph) => {
  const folder = dirname(subgraph.schemaPath ?? '').slice(root.length);
  const imports = existsSync(`${root}${folder}/src/import/catalogue.ts`);
  return { ...subgraph, port: new URL(subgraph.routingUrl).port, folder, imports };
});
/** One test says what docker-compose.yml lacks; the others look at the subgraphs that it has. */
const subgraphs = listed.filter(({ name }) => name in services);
const importing = subgraphs.filter(({ imports }) => imports);
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string };
/** OpenTelemetry's own variables, as far as the document for operators has them. */
const telemetry = readFileSync(`${root}docs/operations.md`, 'utf8').match(/\bOTEL_\w+/g) ?? [];

const of = (name: string): ComposeService => {
  const service = services[name];
  if (!service) throw new Error(`docker-compose.yml has no service ${name}`);
  return service;
};
const environmentOf = (name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(of(name).environment ?? {}).map(([variable, value]) => [variable, String(value)]),
  );

/** What the image sets itself. */
const imageEnvironment = readImage().env;

/** A container's environment, as the process in it finds it. */
const wholeEnvironmentOf = (name: string) => ({ ...imageEnvironment, ...environmentOf(name) });

describe('docker-compose.yml beside supergraph.yaml', () => {
  it('has all lines that the subgraphs of the list need; those that it lacks are printed here', () => {
    const names = listed.map(({ name }) => name);
    const missing = new Set(listed.flatMap((subgraph) => missingOf(subgraph, names, version)));
    expect([...missing].join('\n\n')).toBe('');
  });

  it('prints a service, an importer, a database and an address for a subgraph that it lacks', () => {
    const subgraph = { name: 'reviews', port: '4003', folder: 'subgraphs/reviews', imports: true };
    const lines = missingOf(subgraph, ['metadata', 'rating', 'reviews'], version).join('\n').split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        ...[
          'x-reviews-image: &reviews-image',
          '  reviews: &reviews-database',
          '  reviews:',
          '      PORT: 4003',
        ],
        ...['  import-reviews:', '      SUBGRAPH_URL_REVIEWS: http://reviews:4003/graphql'],
        '      for name in metadata rating reviews events; do',
      ]),
    );
  });

  it('runs the gateway and each subgraph of the list, and nothing else, in the profile apps', () => {
    const apps = Object.keys(services).filter((name) => of(name).profiles.includes('apps'));
    expect(apps.sort()).toEqual(['gateway', ...subgraphs.map(({ name }) => name)].sort());
    expect(new Set(Object.values(services).flatMap(({ profiles }) => profiles))).toEqual(
      new Set(['infra', 'apps', 'import']),
    );
  });

  it('reads the variables and has the profiles that deployment.md lists, and no other', () => {
    const document = readFileSync(`${root}docs/deployment.md`, 'utf8');
    // `$$` is a dollar sign for the shell of a container.
    const databases = listed.map(({ name }) => `DATABASE_URL_${name.toUpperCase()}`);
    const read = new Set(
      [...composeText.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, variable = '']) =>
        databases.includes(variable) ? 'DATABASE_URL_<NAME>' : variable,
      ),
    );
    const section = /^## Variables$([^]*?)^## /m.exec(document)?.[1] ?? '';
    const documented = [...section.matchAll(/`([A-Z][A-Z_]+(?:<NAME>)?)`/g)].map(([, variable]) => variable);
    expect([...new Set(documented)].sort()).toEqual([...read].sort());
    expect(document.match(/^\| `(infra|apps|import)` \|/gm)).toHaveLength(3);
  });

  it.each(subgraphs)(
    'runs $name on the port of its routing_url, where the gateway looks for it',
    (subgraph) => {
      const { name, routingUrl } = subgraph;
      const { port, pathname } = new URL(routingUrl);
      expect(environmentOf(name)['PORT']).toBe(port);
      expect(environmentOf('gateway')[subgraphVariable('SUBGRAPH_URL_', name)]).toBe(
        `http://${name}:${port}${pathname}`,
      );
      expect(of(name).ports ?? []).toEqual([]);
    },
  );

  it('publishes the gateway alone, on this machine only, at the port where it listens', () => {
    expect(of('gateway').ports).toEqual([`127.0.0.1:4000:${environmentOf('gateway')['PORT']}`]);
    expect(String(readConfig({}).port)).toBe(environmentOf('gateway')['PORT']);
  });

  it.each(subgraphs)(
    'builds $name, its importer and its database by the same names',
    ({ name, folder, imports }) => {
      const image = {
        image: `cinegraph/${name}:${version}`,
        build: { context: '.', args: { SERVICE: folder } },
      };
      for (const container of imports ? [name, `import-${name}`] : [name]) {
        expect(of(container)).toMatchObject(image);
        expect(environmentOf(container)[`DATABASE_URL_${name.toUpperCase()}`]).toBe(
          `postgresql://${name}:p4ss@postgres:5432/${name}`,
        );
      }
      expect(/for name in (.*); do/.exec(composeText)?.[1]?.split(' ')).toContain(name);
    },
  );

  it('builds the gateway from its own folder', () => {
    expect(of('gateway')).toMatchObject({
      image: `cinegraph/gateway:${version}`,
      build: { context: '.', args: { SERVICE: 'gateway' } },
    });
  });
});

describe('the variables of docker-compose.yml', () => {
  it('are all read by the gateway, and none that it needs is missing', () => {
    const urls = subgraphs.map(({ name }) => subgraphVariable('SUBGRAPH_URL_', name));
    const known = [...Object.keys(gatewayVariables), ...urls, ...telemetry];
    expect(Object.keys(environmentOf('gateway')).filter((name) => !known.includes(name))).toEqual([]);
    const config = readConfig(wholeEnvironmentOf('gateway'));
    expect(config).toMatchObject({
      environment: 'production',
      host: '0.0.0.0',
      port: 4000,
      subgraphKey: key,
    });
    expect(subgraphs.filter(({ name }) => config.urlOf(name) === undefined)).toEqual([]);
    expect(config.variablesOfOthers(subgraphs.map(({ name }) => name))).toEqual([]);
  });

  it.each(subgraphs)('are all read by $name, and none that it needs is missing', ({ name }) => {
    const own = name === 'rating' ? ingestVariables : {};
    const known = [...Object.keys(subgraphVariables(name, { NODE_ENV: 'production' }, own)), ...telemetry];
    expect(Object.keys(environmentOf(name)).filter((variable) => !known.includes(variable))).toEqual([]);
    expect(readSubgraphSettings(name, wholeEnvironmentOf(name))).toMatchObject({
      mode: 'production',
      host: '0.0.0.0',
      subgraphKey: key,
      broker: { kafka: ['kafka:9092'] },
    });
  });

  it.each(importing)('give the importer of $name its database, the broker and nothing else', ({ name }) => {
    expect(Object.keys(environmentOf(`import-${name}`)).sort()).toEqual(
      [`DATABASE_URL_${name.toUpperCase()}`, ...Object.keys(brokerVariables({}))].sort(),
    );
  });

  it.each(subgraphs)('give $name the log in PostgreSQL where KAFKA_BROKERS is set to nothing', ({ name }) => {
    const given = { POSTGRES_PASSWORD: 'p4ss', SUBGRAPH_KEY: key, KAFKA_BROKERS: '' };
    const { environment = {} } = readComposeFile(given)[name] ?? {};
    const texts = Object.entries({ ...imageEnvironment, ...environment });
    const settings = readSubgraphSettings(
      name,
      Object.fromEntries(texts.map(([variable, value]) => [variable, String(value)])),
    );
    expect(settings.broker).toEqual({ url: 'postgresql://events:p4ss@postgres:5432/events' });
    expect(/for name in (.*); do/.exec(composeText)?.[1]?.split(' ')).toContain('events');
  });

  it.each(subgraphs)('hand $name the password of a Kafka outside, over TLS only', ({ name, imports }) => {
    const given = {
      ...{ POSTGRES_PASSWORD: 'p4ss', SUBGRAPH_KEY: key, KAFKA_BROKERS: 'b-1.example.org:9096' },
      ...{ KAFKA_USERNAME: 'writer', KAFKA_PASSWORD: 'k4fka', KAFKA_SASL_MECHANISM: 'scram-sha-256' },
    };
    const brokerOf = (changed: Record<string, string>) =>
      (imports ? [name, `import-${name}`] : [name]).map((container) =>
        readBrokerAddress(
          (readComposeFile({ ...given, ...changed })[container]?.environment ?? {}) as NodeJS.ProcessEnv,
        ),
      );
    const sasl = { mechanism: 'scram-sha-256', username: 'writer', password: 'k4fka' };
    const address = { kafka: ['b-1.example.org:9096'], tls: { ca: undefined }, sasl };
    expect(brokerOf({ KAFKA_TLS: 'true' })).toEqual(imports ? [address, address] : [address]);
    expect(() => brokerOf({})).toThrow(/KAFKA_TLS: is not set, but needed/);
  });

  it.each(['gateway', ...subgraphs.map(({ name }) => name)])(
    'let %s send traces, where a collector is named',
    (name) => {
      expect(readTelemetrySettings(wholeEnvironmentOf(name))).toBeUndefined();
      const traced = readComposeFile({
        POSTGRES_PASSWORD: 'p',
        SUBGRAPH_KEY: key,
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
      })[name]?.environment as NodeJS.ProcessEnv;
      expect(readTelemetrySettings(traced)).toMatchObject({ protocol: 'http/protobuf' });
    },
  );

  it('take secrets from outside, and say which one is missing', () => {
    for (const missing of ['POSTGRES_PASSWORD', 'SUBGRAPH_KEY']) {
      const given = { POSTGRES_PASSWORD: 'p', SUBGRAPH_KEY: key, [missing]: '' };
      expect(() => readComposeFile(given)).toThrow(`required variable ${missing} is not set`);
    }
    expect(composeText.match(/(KEY|PASSWORD)\w*: (?!&[\w-]+ \$|\$\{|\*)\S+/g)).toBeNull();
  });

  it('let a PostgreSQL outside take the place of the one inside', () => {
    const url = 'postgresql://u:p@db.example.org/metadata';
    const changed = readComposeFile({
      POSTGRES_PASSWORD: 'p',
      SUBGRAPH_KEY: key,
      DATABASE_URL_METADATA: url,
    });
    for (const name of ['metadata', 'import-metadata']) {
      expect(changed[name]?.environment?.['DATABASE_URL_METADATA']).toBe(url);
      expect(changed[name]?.depends_on?.['postgres']).toEqual({
        condition: 'service_healthy',
        required: false,
      });
    }
  });

  it('are expanded by this test as Compose expands them', () => {
    expect(expand('${A:-x${B}y}-$$${C:-}', { B: '1' })).toBe('x1y-$');
    expect(expand('${A:-x}${B:?no}', { A: 'a', B: '${C}' })).toBe('a${C}');
    expect(expand('${A-x}${B-x}${C:-x}', { B: '', C: '' })).toBe('xx');
  });
});

describe('the containers of docker-compose.yml', () => {
  it.each(ours)(
    '%s may write nowhere, has no capability and gets none, and hands on signals',
    (_, service) => {
      expect(service).toMatchObject({
        read_only: true,
        tmpfs: ['/tmp'],
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        init: true,
      });
      expect(Object.keys(service)).not.toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^(privileged|cap_add|user|network_mode|pid|devices|healthcheck)$/),
        ]),
      );
    },
  );

  it('are of images with an exact version', () => {
    for (const { image } of Object.values(services)) expect(image).toMatch(/:\d+\.\d+(\.\d+)?$/);
  });

  it.each(subgraphs)('$name and its importer wait for a database that answers', ({ name, imports }) => {
    for (const one of imports ? [name, `import-${name}`] : [name]) {
      expect(of(one).depends_on?.['postgres']?.condition).toBe('service_healthy');
    }
  });

  it('end in the order that loses nothing: the gateway before the subgraphs, each with time to drain', () => {
    expect(Object.keys(of('gateway').depends_on ?? {}).sort()).toEqual(subgraphs.map(({ name }) => name));
    // How long a stop of each may take (`drainMs`), and a second for what a collector has not taken yet.
    const gatewayMs = readConfig(wholeEnvironmentOf('gateway')).deadlineMs + 5_000;
    for (const [name, service] of Object.entries(services)) {
      if (!service.profiles.includes('apps')) continue;
      const given = /^(\d+)s$/.exec(String(service['stop_grace_period']))?.[1];
      const drainMs = name === 'gateway' ? gatewayMs : 10_000;
      expect({ name, isEnough: Number(given) * 1_000 > drainMs + 1_000 }).toEqual({ name, isEnough: true });
    }
  });

  it('of an import end by themselves, and rating waits for the movies', () => {
    for (const { name } of importing) expect(of(`import-${name}`)['restart']).toBe('no');
    expect(of('import-rating').depends_on?.['import-metadata']?.condition).toBe(
      'service_completed_successfully',
    );
  });
});

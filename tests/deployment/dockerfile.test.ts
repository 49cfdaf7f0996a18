import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';
import { dockerfile, readImage, root } from '../support/image.js';

/** The folders that the build argument SERVICE may name. */
const services = [
  'gateway',
  ...readSupergraphYaml(`${root}supergraph.yaml`, {}).subgraphs.map(({ schemaPath = '' }) =>
    dirname(schemaPath).slice(root.length),
  ),
];
const image = readImage();

describe('the Dockerfile', () => {
  it('builds on an exact version of Node 24, installs the lock file without scripts, and copies no secret', () => {
    expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from)[0]).toMatch(
      /^node:24\.\d+\.\d+-/,
    );
    const installs = dockerfile.match(/npm ci .*/g) ?? [];
    expect(installs).toHaveLength(2);
    for (const install of installs) expect(install).toContain('--ignore-scripts');
    expect(dockerfile).not.toMatch(/^ADD |npm install|:latest|^(ENV|ARG) \w*(PASSWORD|SECRET|TOKEN|KEY)\b/m);
  });

  it('has the version of Node that .nvmrc names for this machine', () => {
    expect(dockerfile).toContain(`FROM node:${readFileSync(`${root}.nvmrc`, 'utf8').trim()}-`);
  });

  it('runs as an account that is not root, in production, on all addresses of the container', () => {
    expect(image.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(image.env).toMatchObject({ NODE_ENV: 'production', HOST: '0.0.0.0' });
  });

  it.each(services)(
    'starts %s by the command of its start script, so that node gets the signals',
    (folder) => {
      const { scripts } = JSON.parse(readFileSync(`${root}${folder}/package.json`, 'utf8')) as {
        scripts: Record<string, string>;
      };
      expect(`exec ${image.command.join(' ')}`).toBe(scripts['start']);
    },
  );

  it('asks for readiness with node itself, on the port of the process', () => {
    const [program, flag, script] = image.healthcheck;
    expect([program, flag]).toEqual(['node', '-e']);
    expect(script).toMatch(/process\.env\.PORT.*\/health\/ready/);
  });

  it('names no service in an instruction, so that a new one needs no line in it', () => {
    const instructions = dockerfile.split('\n').filter((line) => !/^#|npm run build/.test(line));
    expect(instructions.filter((line) => services.some((name) => line.includes(name)))).toEqual([]);
  });
});

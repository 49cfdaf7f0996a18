import { ApolloServerErrorCode } from '@apollo/server/errors';
import { refusalCode } from '@cinegraph/service/refusal';
import { describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gatewayCode } from '../../gateway/src/errors.js';
import { readSupergraphYaml } from '../../packages/cli/src/supergraph-yaml.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { subgraphs } = readSupergraphYaml(join(root, 'supergraph.yaml'), {});

/** Returns the text of all sources below a folder. */
const sourcesIn = (folder: string): string =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('generated'))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
    .join('\n');

/** The codes of responses that are written without GraphQL: `requestError(code, …)` and its table. */
const httpCodes = ['packages/service/src/http', 'gateway/src'].flatMap((folder) =>
  [...sourcesIn(folder).matchAll(/(?:requestError\(|\[)'([A-Z_]+)',\s+'[A-Z][a-z]/g)].map(
    ([, code]) => code ?? '',
  ),
);

describe('the codes of errors', () => {
  const document = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const section = /^## Errors$([^]*?)^## /m.exec(document)?.[1] ?? '';
  const listed = new Set([...section.matchAll(/`([A-Z]+(?:_[A-Z]+)*)`/g)].map(([, code]) => code));

  it('the document for operators lists exactly the codes that the gateway and every subgraph can send', () => {
    const sent = new Set([
      ...httpCodes,
      ...[ApolloServerErrorCode, gatewayCode, refusalCode].flatMap((codes) => Object.values<string>(codes)),
      ...(/subgraphCodes[^=]*= \[([^\]]*)\]/.exec(sourcesIn('gateway/src'))?.[1]?.match(/[A-Z_]+/g) ?? []),
    ]);
    expect(httpCodes).toEqual(expect.arrayContaining(['NOT_FOUND', 'REQUEST_TOO_LARGE', 'BAD_REQUEST']));
    expect([...listed].sort()).toEqual([...sent].sort());
  });

  it.each(subgraphs)(
    'the enum ErrorCode of $name lists only codes that it can send',
    ({ sdl, schemaPath }) => {
      const body = /^enum ErrorCode \{([^}]*)\}/m.exec(sdl)?.[1] ?? '';
      const values = [...body.matchAll(/^\s+([A-Z_]+)$/gm)].map(([, code]) => code ?? '');
      const sources = sourcesIn(join(dirname(schemaPath ?? '').slice(root.length), 'src'));
      const common: readonly string[] = Object.values(refusalCode);
      const neverSent = values.filter((code) => !common.includes(code) && !sources.includes(`'${code}'`));
      expect(values.length > 0).toBe(sdl.includes('enum ErrorCode'));
      expect(neverSent).toEqual([]);
    },
  );

  it.each(subgraphs)('each refusal of $name has a code of its enum ErrorCode', ({ sdl, schemaPath }) => {
    const sources = sourcesIn(join(dirname(schemaPath ?? '').slice(root.length), 'src'));
    const codes = [
      ...[...sources.matchAll(/new Refusal\(\s*'([A-Z_]+)'/g)].map(([, code]) => code),
      ...Object.keys(refusalCode)
        .filter((name) => sources.includes(`refusalCode.${name}`))
        .map((name) => refusalCode[name as keyof typeof refusalCode]),
    ];
    expect(codes.filter((code) => !new RegExp(`^\\s+${code}$`, 'm').test(sdl))).toEqual([]);
  });
});

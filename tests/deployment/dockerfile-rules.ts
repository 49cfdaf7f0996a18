import type { Dockerfile, Instruction } from '../support/dockerfile.js';

/** A rule by hadolint's number (or our own name), what it asks for, a line that breaks it, and what finds that. */
export interface Rule {
  readonly rule: string;
  readonly asks: string;
  /** Put at the end of a sound Dockerfile, it is found. */
  readonly broken: string;
  readonly breaks: (file: Dockerfile) => boolean;
}

const all = ({ instructions }: Dockerfile, ...keywords: readonly string[]) =>
  instructions.filter(({ keyword }) => keywords.includes(keyword));
const some = (...keywords: readonly string[]) => ({
  with:
    (test: (instruction: Instruction) => boolean) =>
    (file: Dockerfile): boolean =>
      all(file, ...keywords).some(test),
});
const runs = (pattern: RegExp) => some('RUN').with(({ text }) => pattern.test(text));
const repeats = (keyword: string) => (file: Dockerfile) =>
  file.stages.some(({ instructions }) => instructions.filter((one) => one.keyword === keyword).length > 1);
const names = (file: Dockerfile) => file.stages.map(({ name }) => name);
const outsideImages = (file: Dockerfile) =>
  file.stages.map(({ from }) => from).filter((from) => !names(file).includes(from));
const last = (file: Dockerfile, keyword: string) =>
  file.stages
    .at(-1)
    ?.instructions.filter((one) => one.keyword === keyword)
    .at(-1);
const secret =
  /(^|[^a-z])(secret|password|passwd|token|api_?key|private_?key|subgraph_key|credential|database_url)/i;

/** The rules that a container file of ours keeps; those about tools that it does not use are left to hadolint. */
export const rules: readonly Rule[] = [
  {
    rule: 'DL3000',
    asks: 'WORKDIR is absolute',
    broken: 'WORKDIR app',
    breaks: some('WORKDIR').with(({ text }) => !/^[/$]/.test(text)),
  },
  {
    rule: 'DL3002',
    asks: 'the last USER is not root',
    broken: 'USER root',
    breaks: (file) => /^(root|0)(:|$)/.test(last(file, 'USER')?.text ?? 'root'),
  },
  {
    rule: 'DL3003',
    asks: 'WORKDIR is used instead of cd',
    broken: 'RUN cd /srv && ls',
    breaks: runs(/(^|[;&|]\s*)cd\s/),
  },
  { rule: 'DL3004', asks: 'nothing runs through sudo', broken: 'RUN sudo ls', breaks: runs(/\bsudo\b/) },
  {
    rule: 'DL3006',
    asks: 'an image from outside has a tag',
    broken: 'FROM debian',
    breaks: (file) => outsideImages(file).some((from) => !/[:@]/.test(from)),
  },
  {
    rule: 'DL3007',
    asks: 'no image is latest',
    broken: 'FROM node:latest',
    breaks: (file) => outsideImages(file).some((from) => from.includes(':latest')),
  },
  {
    rule: 'DL3008',
    asks: 'apt installs pinned versions',
    broken: 'RUN apt-get install -y tini',
    breaks: runs(/apt-get\s+install(?![^&|;]*=)/),
  },
  {
    rule: 'DL3012',
    asks: 'a stage has one HEALTHCHECK',
    broken: 'HEALTHCHECK CMD ["node"]\nHEALTHCHECK CMD ["node"]',
    breaks: repeats('HEALTHCHECK'),
  },
  {
    rule: 'DL3016',
    asks: 'npm installs what the lock file says',
    broken: 'RUN npm install express',
    breaks: runs(/\bnpm\s+(i|install|add)\b|\bnpx\s/),
  },
  {
    rule: 'DL3020',
    asks: 'COPY is used instead of ADD',
    broken: 'ADD . .',
    breaks: some('ADD').with(() => true),
  },
  {
    rule: 'DL3021',
    asks: 'COPY of several things goes into a folder',
    broken: 'COPY a b c',
    breaks: some('COPY').with(({ text }) => text.split(/\s+/).length > 2 && !text.endsWith('/')),
  },
  {
    rule: 'DL3022',
    asks: 'COPY --from names an earlier stage',
    broken: 'COPY --from=elsewhere /a /b',
    breaks: (file) =>
      file.stages.some(({ instructions }, index) =>
        instructions.some(
          ({ flags }) => flags['from'] !== undefined && !names(file).slice(0, index).includes(flags['from']),
        ),
      ),
  },
  {
    rule: 'DL3024',
    asks: 'no two stages have one name',
    broken: 'FROM node AS build',
    breaks: (file) => new Set(names(file)).size < file.stages.length,
  },
  {
    rule: 'DL3025',
    asks: 'CMD, ENTRYPOINT and the health check are in exec form',
    broken: 'CMD node dist/main.js',
    breaks: some('CMD', 'ENTRYPOINT', 'HEALTHCHECK').with(
      ({ words, text }) => words === undefined && text !== 'NONE',
    ),
  },
  {
    rule: 'DL3027',
    asks: 'apt is called as apt-get',
    broken: 'RUN apt install tini=1',
    breaks: runs(/\bapt\s/),
  },
  {
    rule: 'DL3029',
    asks: 'FROM leaves the platform to the builder',
    broken: 'FROM --platform=linux/amd64 node:24.0.0',
    breaks: some('FROM').with(({ flags }) => 'platform' in flags),
  },
  {
    rule: 'DL3044',
    asks: 'ENV does not use what the same ENV sets',
    broken: 'ENV A=1 B=${A}',
    breaks: some('ENV').with(({ text }) =>
      [...text.matchAll(/(\w+)=/g)].some(([, name]) => text.includes(`\${${name ?? ''}}`)),
    ),
  },
  {
    rule: 'DL3045',
    asks: 'COPY to a relative path follows a WORKDIR',
    broken: 'FROM node:24.0.0\nCOPY . app',
    breaks: (file) => file.stages.some((stage) => copiesBeforeWorkdir(file, stage)),
  },
  {
    rule: 'DL3057',
    asks: 'the image has a HEALTHCHECK',
    broken: 'FROM node:24.0.0',
    breaks: (file) => last(file, 'HEALTHCHECK') === undefined,
  },
  {
    rule: 'DL3059',
    asks: 'RUN does not follow RUN',
    broken: 'RUN ls\nRUN ls',
    breaks: ({ instructions }) =>
      instructions.some(
        ({ keyword }, index) => keyword === 'RUN' && instructions[index - 1]?.keyword === 'RUN',
      ),
  },
  {
    rule: 'DL4000',
    asks: 'MAINTAINER is not used',
    broken: 'MAINTAINER us',
    breaks: some('MAINTAINER').with(() => true),
  },
  {
    rule: 'DL4001',
    asks: 'nothing is downloaded beside packages',
    broken: 'RUN curl https://example.org',
    breaks: runs(/\b(curl|wget)\b/),
  },
  {
    rule: 'DL4003',
    asks: 'a stage has one CMD',
    broken: 'CMD ["node"]\nCMD ["node"]',
    breaks: repeats('CMD'),
  },
  {
    rule: 'DL4004',
    asks: 'a stage has one ENTRYPOINT',
    broken: 'ENTRYPOINT ["node"]\nENTRYPOINT ["node"]',
    breaks: repeats('ENTRYPOINT'),
  },
  {
    rule: 'DL4006',
    asks: 'RUN has no pipe, whose failure sh would not see',
    broken: 'RUN ls | wc',
    breaks: runs(/[^|]\|[^|]/),
  },
  {
    rule: 'G7 version',
    asks: 'an image from outside has a whole version or a digest',
    broken: 'FROM node:24-slim',
    breaks: (file) =>
      outsideImages(file).some((from) => !/:\d+\.\d+\.\d+(-|$|@)|@sha256:[0-9a-f]{64}$/.test(from)),
  },
  {
    rule: 'G7 user',
    asks: 'the last USER is a number',
    broken: 'USER node',
    breaks: (file) => !/^[1-9]\d*(:[1-9]\d*)?$/.test(last(file, 'USER')?.text ?? ''),
  },
  {
    rule: 'G7 secrets',
    asks: 'ARG and ENV hold no secret',
    broken: 'ENV SUBGRAPH_KEY=x',
    breaks: some('ARG', 'ENV').with(({ text }) => secret.test(text)),
  },
  {
    rule: 'G7 scripts',
    asks: 'npm ci runs no install scripts',
    broken: 'RUN npm ci',
    breaks: some('RUN').with(({ text }) => text.includes('npm ci') && !text.includes('--ignore-scripts')),
  },
  {
    rule: 'G7 stages',
    asks: 'the packages of the image are of a stage with npm ci --omit=dev',
    broken: 'COPY --from=build /app/node_modules ./',
    breaks: (file) =>
      modulesFrom(file).some((stage) => !stage.some(({ text }) => /npm ci .*--omit=dev/.test(text))),
  },
  {
    rule: 'G7 signal',
    asks: 'STOPSIGNAL is SIGTERM',
    broken: 'STOPSIGNAL SIGKILL',
    breaks: (file) => last(file, 'STOPSIGNAL')?.text !== 'SIGTERM',
  },
];

const copiesBeforeWorkdir = (
  file: Dockerfile,
  { from, instructions }: Dockerfile['stages'][number],
): boolean => {
  const parent = file.stages.find(({ name }) => name === from);
  let isSet = parent?.instructions.some(({ keyword }) => keyword === 'WORKDIR') ?? false;
  // Ours is at most two deep: every stage comes from one that sets it.
  for (const { keyword, text } of instructions) {
    if (keyword === 'WORKDIR') isSet = true;
    if (keyword === 'COPY' && !isSet && !/\s\/\S*$/.test(text)) return true;
  }
  return false;
};

/** The stages that the last one takes packages from: whole, or their node_modules. */
const modulesFrom = (file: Dockerfile) =>
  (file.stages.at(-1)?.instructions ?? [])
    .filter(({ keyword, text }) => keyword === 'COPY' && /^\/app(\/node_modules\S*)?\s/.test(text))
    .map(({ flags }) => file.stages.find(({ name }) => name === flags['from'])?.instructions ?? []);

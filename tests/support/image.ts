import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The root of the clone. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The declarations of the Dockerfile's last stage for a service's container. */
export interface Image {
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly stopSignal: NodeJS.Signals;
  readonly healthcheck: readonly string[];
  readonly command: readonly string[];
}

export const dockerfile = readFileSync(`${root}Dockerfile`, 'utf8');

/** Reads the last stage of the Dockerfile. `.ci/images` builds and runs the images. */
export const readImage = (): Image => {
  const lines = dockerfile.replaceAll(/\\\n\s*/g, '').split('\n');
  const stage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
  const textOf = (keyword: string): string => {
    const line = stage.find((one) => one.startsWith(`${keyword} `));
    if (line === undefined) throw new Error(`the Dockerfile's last stage has no ${keyword}`);
    return line.slice(keyword.length + 1);
  };
  const wordsOf = (text: string) => JSON.parse(text.slice(text.indexOf('['))) as readonly string[];
  return {
    env: Object.fromEntries(
      textOf('ENV')
        .split(' ')
        .map((pair) => pair.split('=') as [string, string]),
    ),
    user: textOf('USER'),
    stopSignal: textOf('STOPSIGNAL') as NodeJS.Signals,
    healthcheck: wordsOf(textOf('HEALTHCHECK')),
    command: wordsOf(textOf('CMD')),
  };
};

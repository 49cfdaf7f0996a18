import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The root of the clone. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** One instruction: `COPY --from=build /app ./` has the flag `from` and the text `/app ./`. */
export interface Instruction {
  readonly keyword: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly text: string;
  /** The words of the exec form, `["node", "main.js"]`; undefined where the text is for a shell. */
  readonly words: readonly string[] | undefined;
}

/** What stands between one FROM and the next. */
export interface Stage {
  readonly name: string;
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

/** A Dockerfile as far as ours goes: no here-documents, no parser directives. */
export interface Dockerfile {
  readonly stages: readonly Stage[];
  readonly instructions: readonly Instruction[];
}

/** Reads the text of a Dockerfile; throws on a first instruction that is not FROM. */
export const parseDockerfile = (text: string): Dockerfile => {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const instructions = lines.map(parseInstruction);
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const instruction of instructions) {
    if (instruction.keyword === 'FROM') {
      const [from = '', , name = String(stages.length)] = instruction.text.split(/\s+/);
      stages.push({ name, from, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (!stage) throw new Error(`${instruction.keyword} stands before the first FROM`);
    stage.instructions.push(instruction);
  }
  return { stages, instructions };
};

/** The Dockerfile that is shipped. */
export const readDockerfile = (): Dockerfile => parseDockerfile(readFileSync(`${root}Dockerfile`, 'utf8'));

const parseInstruction = (line: string): Instruction => {
  const [, keyword = '', rest = ''] = /^\s*(\w+)\s+(.*)$/.exec(line) ?? [];
  const flags: Record<string, string> = {};
  let text = rest.trim();
  for (let flag = matchFlag(text); flag; flag = matchFlag(text)) {
    flags[flag[1] ?? ''] = flag[2] ?? '';
    text = text.slice(flag[0].length);
  }
  // HEALTHCHECK has an instruction of its own in it: CMD.
  const exec = /^(?:CMD\s+)?(\[.*\])$/.exec(text)?.[1];
  return {
    keyword: keyword.toUpperCase(),
    flags,
    text,
    words: exec === undefined ? undefined : (JSON.parse(exec) as string[]),
  };
};

const matchFlag = (text: string) => /^--([\w-]+)(?:=(\S*))?\s+/.exec(text);

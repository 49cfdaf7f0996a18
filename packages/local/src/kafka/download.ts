import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { isAlive } from '../process-alive.js';
import { StartError } from '@cinegraph/service/start-error';

/** The Apache Kafka that is run; docker-compose.yml names the same one. */
export const kafkaVersion = '4.1.1';

/** What there is on this machine to run Apache Kafka with; `missing` says in one sentence what is not. */
export type KafkaProgram =
  | { readonly kind: 'docker' }
  | { readonly kind: 'java'; readonly java: string; readonly jars: string }
  | { readonly kind: 'none'; readonly missing: string };

/** Where a person keeps such things; each may be left out. */
export interface KafkaInstallation {
  /** `XDG_CACHE_HOME`: the broker's jars are kept below it; `~/.cache` unless told. */
  readonly cacheHome?: string | undefined;
  /** `JAVA_HOME`; the `java` of the path unless told. */
  readonly javaHome?: string | undefined;
}

/**
 * Looks for an engine that runs containers, else for Java 17 or later and either the jars of an earlier run or the Maven
 * that fetches them. Takes about a second at most, and changes nothing.
 */
export const findKafkaProgram = async (places: KafkaInstallation = {}): Promise<KafkaProgram> => {
  if (await answers('docker', ['info', '--format', '{{.ServerVersion}}'])) return { kind: 'docker' };
  const java = places.javaHome === undefined ? 'java' : join(places.javaHome, 'bin', 'java');
  const jars = join(places.cacheHome ?? join(homedir(), '.cache'), 'cinegraph', `kafka-${kafkaVersion}`);
  const version = await javaVersion(java);
  const needed = 'A real Kafka needs Docker, or Java 17 or later with Maven';
  if (version === undefined) return { kind: 'none', missing: `${needed}: there is neither Docker nor Java.` };
  if (version < 17)
    return { kind: 'none', missing: `${needed}: there is no Docker, and Java is ${version}.` };
  if (!(await exists(jars)) && !(await answers('mvn', ['--version']))) {
    return { kind: 'none', missing: `${needed}: there is no Docker, and Java ${version} but no Maven.` };
  }
  return { kind: 'java', java, jars };
};

/**
 * Sees to it that the folder `jars` holds the broker: 43 MB, by Maven, once for all clones. It appears whole or not at
 * all, so that two at once and a kill do no harm. Throws a {@link StartError} where Maven cannot fetch them.
 */
export const ensureKafkaJars = async (jars: string, onProgress: (what: string) => void): Promise<void> => {
  if (await exists(jars)) return;
  const parent = join(jars, '..');
  await mkdir(parent, { recursive: true });
  await removeUnfinished(parent);
  const folder = `${jars}${unfinished}${process.pid}-${randomBytes(4).toString('hex')}`;
  await mkdir(folder);
  try {
    await writeFile(join(folder, 'pom.xml'), pom);
    onProgress(`fetching Apache Kafka ${kafkaVersion} by Maven, once for this account: about 45 MB`);
    await fetchByMaven(folder, onProgress);
    await rename(join(folder, 'jars'), jars).catch(async (error: unknown) => {
      // Another process was quicker.
      if (!(await exists(jars))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const unfinished = '.new-';

/** The logger beside Kafka itself: without one, a broker that cannot start would not say why. */
const dependencies = [
  ['org.apache.kafka', 'kafka_2.13', kafkaVersion],
  ['org.apache.logging.log4j', 'log4j-slf4j-impl', '2.24.3'],
];

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>cinegraph</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependencies
    .map(
      ([group, artifact, version]) =>
        `\n    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`,
    )
    .join('')}
  </dependencies>
</project>
`;

const fetchByMaven = async (folder: string, onProgress: (what: string) => void): Promise<void> => {
  const child = spawn(
    'mvn',
    [
      // Every file is held against its checksum.
      ...['--batch-mode', '--strict-checksums', '--file', join(folder, 'pom.xml')],
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
      ...['-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'jars')}`],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let fetched = 0;
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.includes('[ERROR]')) errors.push(line.replace(/^.*\[ERROR\]\s*/u, ''));
    if (!/Downloaded from .*\.jar /u.test(line)) return;
    fetched += 1;
    if (fetched % 20 === 0) onProgress(`fetched ${fetched} files`);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const names = await readdir(join(folder, 'jars')).catch((): string[] => []);
  if (code === 0 && names.includes(`kafka_2.13-${kafkaVersion}.jar`)) return;
  throw new StartError(
    `Apache Kafka could not be fetched by Maven: ${errors[0] ?? `it ended with exit code ${code ?? 'none'}`}. Put that right, or start a Kafka of your own and set KAFKA_BROKERS.`,
  );
};

/** Folders that killed processes left behind. */
const removeUnfinished = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent)) {
    const pid = /^kafka-.*\.new-(\d+)-/u.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
};

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const run = promisify(execFile);

const answers = (command: string, args: readonly string[]): Promise<boolean> =>
  run(command, [...args], { timeout: 10_000 }).then(
    () => true,
    () => false,
  );

/** The major version; undefined where there is no Java. Java 8 calls itself 1.8. */
const javaVersion = async (java: string): Promise<number | undefined> => {
  const said = await run(java, ['-version'], { timeout: 10_000 }).then(
    ({ stderr, stdout }) => `${stderr}${stdout}`,
    () => '',
  );
  const version = /version "(?:1\.)?(\d+)/u.exec(said)?.[1];
  return version === undefined ? undefined : Number(version);
};

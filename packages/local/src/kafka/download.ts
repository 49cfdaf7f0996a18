import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { StartError } from '@cinegraph/service/start-error';
import { exists } from '../exists.js';
import { isAlive } from '../process-alive.js';

/** The version of Apache Kafka; docker-compose.yml names the same one. */
export const kafkaVersion = '4.1.1';

/**
 * The program that this machine can run Apache Kafka with; `missing` says in one sentence what is not
 * installed.
 */
export type KafkaProgram =
  | { readonly kind: 'docker' }
  | { readonly kind: 'java'; readonly java: string; readonly jars: string }
  | { readonly kind: 'none'; readonly missing: string };

/** Locations that a person may have configured. */
export interface KafkaInstallation {
  /** `XDG_CACHE_HOME`, below which the jars are kept. The default is `~/.cache`. */
  readonly cacheHome?: string | undefined;
  /** `JAVA_HOME`. The default is the `java` found through `PATH`. */
  readonly javaHome?: string | undefined;
}

/**
 * Finds a program to run Apache Kafka with: Docker, otherwise Java 17 or later with either the jars of an
 * earlier run or Maven to download them. Changes nothing, and takes about a second.
 */
export const findKafkaProgram = async (installation: KafkaInstallation = {}): Promise<KafkaProgram> => {
  if (await succeeds('docker', ['info', '--format', '{{.ServerVersion}}'])) return { kind: 'docker' };
  const java = installation.javaHome === undefined ? 'java' : join(installation.javaHome, 'bin', 'java');
  const jars = join(
    installation.cacheHome ?? join(homedir(), '.cache'),
    'cinegraph',
    `kafka-${kafkaVersion}`,
  );
  const version = await javaVersion(java);
  const needed = 'A real Kafka needs Docker, or Java 17 or later with Maven';
  if (version === undefined) return { kind: 'none', missing: `${needed}: there is neither Docker nor Java.` };
  if (version < 17)
    return { kind: 'none', missing: `${needed}: there is no Docker, and Java is ${version}.` };
  if (!(await exists(jars)) && !(await succeeds('mvn', ['--version']))) {
    return { kind: 'none', missing: `${needed}: there is no Docker, and Java ${version} but no Maven.` };
  }
  return { kind: 'java', java, jars };
};

/**
 * Downloads the broker (43 MB) by Maven into the folder `jars`, unless it exists; all clones share it. The
 * folder appears by a rename, so that neither a second process nor a kill leaves it incomplete. Throws a
 * {@link StartError} if Maven cannot download it.
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
    onProgress(`downloading Apache Kafka ${kafkaVersion} by Maven, once for this account: about 45 MB`);
    await downloadByMaven(folder, onProgress);
    await rename(join(folder, 'jars'), jars).catch(async (error: unknown) => {
      // Another process may have renamed its folder first.
      if (!(await exists(jars))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const unfinished = '.new-';

/** Kafka, and a logger: without one, a broker that cannot start would not print why. */
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

const downloadByMaven = async (folder: string, onProgress: (what: string) => void): Promise<void> => {
  const child = spawn(
    'mvn',
    [
      ...['--batch-mode', '--strict-checksums', '--file', join(folder, 'pom.xml')],
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
      ...['-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'jars')}`],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let downloaded = 0;
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.includes('[ERROR]')) errors.push(line.replace(/^.*\[ERROR\]\s*/u, ''));
    if (!/Downloaded from .*\.jar /u.test(line)) return;
    downloaded += 1;
    if (downloaded % 20 === 0) onProgress(`downloaded ${downloaded} files`);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const names = await readdir(join(folder, 'jars')).catch((): string[] => []);
  if (code === 0 && names.includes(`kafka_2.13-${kafkaVersion}.jar`)) return;
  throw new StartError(
    `Apache Kafka could not be downloaded by Maven: ${errors[0] ?? `it ended with exit code ${code ?? 'none'}`}. Correct that, or start a Kafka of your own and set KAFKA_BROKERS.`,
  );
};

/** Removes the unfinished folders of processes that are no longer alive. */
const removeUnfinished = async (parent: string): Promise<void> => {
  for (const name of await readdir(parent)) {
    const pid = /^kafka-.*\.new-(\d+)-/u.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
};

const run = promisify(execFile);

const succeeds = (command: string, args: readonly string[]): Promise<boolean> =>
  run(command, [...args], { timeout: 10_000 }).then(
    () => true,
    () => false,
  );

/** Returns Java's major version, or `undefined` if there is no Java. Java 8 calls itself 1.8. */
const javaVersion = async (java: string): Promise<number | undefined> => {
  const output = await run(java, ['-version'], { timeout: 10_000 }).then(
    ({ stderr, stdout }) => `${stderr}${stdout}`,
    () => '',
  );
  const version = /version "(?:1\.)?(\d+)/u.exec(output)?.[1];
  return version === undefined ? undefined : Number(version);
};

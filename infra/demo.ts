import { createServer } from 'node:net';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { printProgress } from './commands/show.ts';
import { readConfig } from './config.ts';
import { DemoApi } from './demo/api.ts';
import { follow, type Followed } from './demo/follow.ts';
import { printResult, printTable } from './demo/report.ts';
import { dicomTools, makeStudies, type DemoStudy, type DicomTools } from './demo/studies.ts';
import { startStack, type Stack } from './native/stack.ts';
import { tokenKey } from './secrets.ts';
import { signToken } from './token.ts';

const tenantId = 'demo';
const receiverAETitle = 'SECOND';

/**
 * The whole way of three real studies, shown: sent by C-STORE over several associations, followed through the flows, found, read back,
 * compared, and one of them routed to a second system.
 *
 * @returns 0 when every byte that came back equals what was sent, and everything else went as announced
 */
export async function runDemo(args: readonly string[]): Promise<number> {
  const config = readConfig(process.env);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const tools = await dicomTools(config.home, printProgress);
  const studies = await makeStudies(tools, config.home, printProgress);
  const stack = await startStack({
    home: config.home, ports: config.ports, external: config.external, onProgress: printProgress, signal: stop.signal,
    env: { PACS_STUDY_QUIET_SECONDS: '4', ...config.passedOn },
  });
  const receiver = await startReceiver(tools, config.home);
  try {
    const result = await show(stack, tools, studies, receiver, stop.signal);
    if (!args.includes('--once') && !stop.signal.aborted) {
      console.log('\nThe PACS stays up for you to look around. Ctrl-C stops it.');
      await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
    }
    return result ? 0 : 1;
  } finally {
    receiver.stop();
    await stack.stop();
  }
}

async function show(stack: Stack, tools: DicomTools, studies: readonly DemoStudy[], receiver: Receiver, signal: AbortSignal): Promise<boolean> {
  const token = await signToken({ sub: 'demo', tenants: [tenantId], roles: ['admin'] }, tokenKey(path.join(stack.home, 'secrets', 'token.key')), '8h');
  const api = new DemoApi(`${stack.urls.api}/tenants/${tenantId}`, token);
  await api.configure((current) => ({
    ...current,
    destinations: [...current.destinations.filter(({ destinationId }) => destinationId !== 'second-system'),
      { kind: 'dicom', destinationId: 'second-system', gatewayId: 'gw1', host: '127.0.0.1', port: receiver.port, calledAETitle: receiverAETitle }],
    rules: [...current.rules.filter(({ ruleId }) => ruleId !== 'demo-ct'), { ruleId: 'demo-ct', destinationId: 'second-system', attributes: { Modality: 'CT' } }],
  }));
  console.log('\nSending with pynetdicom\'s storescu: CT, MR (one instance is bad) and CR at once, then CR twice more.');
  const sending = send(stack, tools, studies);
  const followed = await follow(api, studies, receiver, sending, signal);
  await sending;
  const rows = await Promise.all(studies.map((study) => compare(api, study, followed, receiver)));
  printTable(rows);
  const viewerToken = await signToken({ sub: 'demo', tenants: [tenantId], roles: ['viewer'] }, tokenKey(path.join(stack.home, 'secrets', 'token.key')), '8h');
  await printResult(stack, api, studies, rows, viewerToken);
  return rows.every(({ problems }) => problems.length === 0);
}

/** Three associations at once, then two more with what was sent already. */
async function send(stack: Stack, tools: DicomTools, studies: readonly DemoStudy[]): Promise<void> {
  const { host, port, aeTitle } = stack.urls.dicom;
  const one = ({ folder, modality }: DemoStudy) =>
    tools.run(['-m', 'pynetdicom', 'storescu', host, `${port}`, folder, '-r', '-aet', `${modality}1`, '-aec', aeTitle, '-cx']);
  await Promise.all(studies.map(one));
  for (const study of studies.filter(({ modality }) => modality === 'CR')) {
    await one(study);
    await one(study);
  }
}

export interface Row {
  readonly modality: string;
  readonly sent: number;
  readonly archived: number;
  readonly quarantined: number;
  readonly reason: string;
  readonly duplicates: number;
  readonly found: number;
  readonly identical: number;
  readonly routed: number;
  readonly problems: readonly string[];
}

/** Compares one study, data set by data set, with what came back and with what the second system got. */
async function compare(api: DemoApi, study: DemoStudy, followed: Followed, receiver: Receiver): Promise<Row> {
  const instances = Object.entries(study.instances);
  const good = instances.filter(([, { bad }]) => !bad);
  const back = await api.retrieve(study.studyInstanceUID);
  const history = await api.history(study.studyInstanceUID);
  const identical = good.filter(([uid, { dataSetSha256 }]) => back.get(uid) === dataSetSha256).length;
  const routed = receiver.received(good.map(([, { dataSetSha256 }]) => dataSetSha256));
  const { found, counts } = followed(study);
  const expectedRouted = study.modality === 'CT' ? good.length : 0;
  const expectedDuplicates = study.modality === 'CR' ? 2 * good.length : 0;
  const problems = [
    ...(identical === good.length && back.size === good.length ? [] : [`${identical} of ${good.length} came back identical`]),
    ...(found === good.length ? [] : [`QIDO-RS counts ${found} instances, not ${good.length}`]),
    ...(counts.quarantined === instances.length - good.length ? [] : [`${counts.quarantined} are quarantined, not ${instances.length - good.length}`]),
    ...(counts.duplicates === expectedDuplicates ? [] : [`${counts.duplicates} counted as duplicates, not ${expectedDuplicates}`]),
    ...(routed === expectedRouted ? [] : [`the second system has ${routed} instances, not ${expectedRouted}`]),
  ];
  return {
    modality: study.modality, sent: instances.length + expectedDuplicates, archived: counts.accepted, quarantined: counts.quarantined,
    reason: history.find(({ action }) => action === 'instance.quarantined')?.detail ?? '', duplicates: counts.duplicates,
    found, identical, routed, problems,
  };
}

export interface Receiver {
  readonly port: number;
  /** How many of these data sets it holds, byte for byte. */
  readonly received: (dataSetDigests: readonly string[]) => number;
  readonly stop: () => void;
}

/** The second system: pynetdicom's Storage SCP, which keeps each data set as it came. */
async function startReceiver(tools: DicomTools, home: string): Promise<Receiver> {
  const folder = path.join(home, 'tmp', 'demo', 'second-system');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const child = tools.start(['-m', 'pynetdicom', 'storescp', `${port}`, '-ba', '127.0.0.1', '-aet', receiverAETitle, '-od', folder], path.join(home, 'logs', 'second-system.log'));
  await sleep(1000);
  return {
    port,
    received: (digests) => {
      const held = new Set(readdirSync(folder).map((name) => dataSetDigest(readFileSync(path.join(folder, name)))));
      return digests.filter((digest) => held.has(digest)).length;
    },
    stop: () => void child.kill('SIGTERM'),
  };
}

/** File Meta Information begins at 132 with its group length (PS3.10 7.1); the data set follows it. */
const dataSetDigest = (file: Buffer): string => createHash('sha256').update(file.subarray(144 + file.readUInt32LE(140))).digest('hex');

const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
  });
});

import { openAssociation } from '../edge-gateway/scu/association.ts';
import type { RequestorAssociation } from '../edge-gateway/scu/requestorAssociation.ts';
import { storeOn } from '../edge-gateway/scu/store.ts';
import { Load, newUID } from './load.ts';

/** What the load generator is told, as JSON in its first argument. */
export interface SenderOrder {
  readonly loadFolder: string;
  readonly host: string;
  readonly port: number;
  readonly calledAETitle: string;
  readonly associationCount: number;
  readonly instanceCount: number;
}

/** What it tells when every instance was answered. Times are milliseconds since the epoch. */
export interface SenderReport {
  readonly firstSentAt: number;
  readonly lastAnsweredAt: number;
  readonly succeededCount: number;
  /** Every status but success, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  readonly latenciesMs: readonly number[];
  readonly cpuMs: number;
  /** One study an association. */
  readonly studies: Readonly<Record<string, number>>;
}

const now = (): number => performance.timeOrigin + performance.now();

/** Opens the associations, says `ready`, and on the first message sends as fast as the peer answers. */
async function main(order: SenderOrder): Promise<void> {
  const load = new Load(order.loadFolder);
  const jobs = Array.from({ length: order.associationCount }, (_, index) => prepare(load, order, index));
  const associations = await Promise.all(jobs.map(() => openAssociation({
    host: order.host, port: order.port, callingAETitle: 'BENCH', calledAETitle: order.calledAETitle, timeouts: { responseMs: 300_000 },
    contexts: [{ abstractSyntaxUID: load.sopClassUID, transferSyntaxUIDs: [load.transferSyntaxUID] }],
  })));
  const go = new Promise((resolve) => process.once('message', resolve));
  process.send!('ready');
  await go;
  const before = process.cpuUsage();
  const firstSentAt = now();
  const answers = (await Promise.all(jobs.map((job, index) => sendAll(associations[index]!, job.instances)))).flat();
  const lastAnsweredAt = now();
  const { user, system } = process.cpuUsage(before);
  await Promise.all(associations.map((association) => association.release()));
  const failures: Record<string, number> = {};
  for (const { status } of answers) if (status !== 0) failures[status.toString(16)] = (failures[status.toString(16)] ?? 0) + 1;
  const report: SenderReport = {
    firstSentAt, lastAnsweredAt, failures, succeededCount: answers.filter(({ status }) => status === 0).length,
    latenciesMs: answers.map(({ latencyMs }) => latencyMs), cpuMs: (user + system) / 1000,
    studies: Object.fromEntries(jobs.map(({ study, instances }) => [study, instances.length])),
  };
  process.send!(report, () => process.disconnect());
}

interface ToSend { readonly sopInstanceUID: string; readonly pieces: readonly Buffer[] }

/** One association's share, each instance with its header made beforehand. */
function prepare(load: Load, { associationCount, instanceCount }: SenderOrder, index: number): { readonly study: string; readonly instances: readonly ToSend[] } {
  const study = newUID();
  const series = newUID();
  const length = Math.floor((instanceCount + index) / associationCount);
  const instances = Array.from({ length }, (_, number) => {
    const instance = newUID();
    return { sopInstanceUID: instance, pieces: load.pieces({ study, series, instance }, number) };
  });
  return { study, instances };
}

async function sendAll(association: RequestorAssociation, instances: readonly ToSend[]): Promise<readonly { readonly status: number; readonly latencyMs: number }[]> {
  const context = association.contexts[0];
  if (!context) throw new Error('The peer accepted no presentation context for the load');
  const answers = [];
  for (const { sopInstanceUID, pieces } of instances) {
    const sentAt = performance.now();
    const { status } = await storeOn(association, { context, sopInstanceUID, dataSet: stream(pieces) });
    answers.push({ status, latencyMs: performance.now() - sentAt });
  }
  return answers;
}

async function* stream(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}

await main(JSON.parse(process.argv[2] ?? '{}') as SenderOrder);

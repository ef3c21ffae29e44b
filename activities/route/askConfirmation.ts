import { createHash } from 'node:crypto';
import { cancellationSignal } from '@temporalio/activity';
import { describeStatus, resend } from '../../dicom/status.ts';
import { commitmentFailures, type CommitmentReport } from '../../dicom/storageCommitment.ts';
import type { CurrentInstance } from '../../domain/documents.ts';
import type { Destination } from '../../domain/tenant.ts';
import type { CommitmentAsker, ReadBack } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';
import type { ConfirmInstancesInput } from './confirmInstances.ts';

export interface AskConfirmationDeps {
  readonly readBacks: { readonly [Kind in Destination['kind']]?: ReadBack<Extract<Destination, { kind: Kind }>> };
  /** At a gateway. */
  readonly asker?: CommitmentAsker;
  /** How long a destination may take to commit itself before it is asked again. */
  readonly commitmentTimeoutMs: number;
  readonly now: () => Date;
}

/** `missing`: sending it again may help; `refused`: it does not. */
export type Answer = { readonly is: 'there' } | { readonly is: 'missing' | 'refused'; readonly problem: string; readonly status?: number };

/** What a destination said of what it took. */
export interface Answers {
  of(sopInstanceUID: string): Answer;
  /** Why nothing is known. */
  readonly problem?: string;
  /** It was asked and answers later: when to look again. */
  readonly lookAgainMs?: number;
  /** The answers are in the ledger. */
  readonly settled?: () => Promise<void>;
}

/** Asks a destination of the policy `readBack` or `commitment` for these instances. One that cannot be asked is an answer, not a failure. */
export function askConfirmation(deps: AskConfirmationDeps, input: ConfirmInstancesInput, destination: Destination, instances: readonly CurrentInstance[]): Promise<Answers> {
  return whenAsked(() => (destination.kind === 'dicom' && destination.confirmation === 'commitment' ? askCommitment(deps, input, destination, instances) : askReadBack(deps, input, destination, instances)));
}

async function whenAsked(ask: () => Promise<Answers>): Promise<Answers> {
  try {
    return await withHeartbeat(ask);
  } catch (error) {
    cancellationSignal().throwIfAborted();
    if (!(error instanceof Error) || error.name !== 'DestinationUnavailable') throw error;
    return nothingKnown(`It could not be asked whether it holds the instance: ${error.message}`);
  }
}

const nothingKnown = (problem: string): Answers => ({ of: () => ({ is: 'missing', problem }), problem });

async function askReadBack({ readBacks }: AskConfirmationDeps, { studyInstanceUID }: ConfirmInstancesInput, destination: Destination, instances: readonly CurrentInstance[]): Promise<Answers> {
  const readBack = readBacks[destination.kind] as ReadBack | undefined;
  if (!readBack) throw new Error(`This worker does not reach ${destination.kind} destinations; give it another role`);
  const seriesInstanceUIDs = [...new Set(instances.map(({ seriesInstanceUID }) => seriesInstanceUID))];
  const there = await readBack(destination, { studyInstanceUID, seriesInstanceUIDs }, cancellationSignal());
  return { of: (uid) => (there.has(uid) ? { is: 'there' } : { is: 'missing', problem: 'The destination answered success, but does not list the instance.' }) };
}

/** PS3.4 Annex J, as SCU. */
async function askCommitment({ asker, commitmentTimeoutMs, now }: AskConfirmationDeps, input: ConfirmInstancesInput, destination: Extract<Destination, { kind: 'dicom' }>, instances: readonly CurrentInstance[]): Promise<Answers> {
  if (!asker) throw new Error('This worker does not ask for storage commitment; give it another role');
  const transactionUID = transactionUIDOf(input);
  const references = instances.map(({ sopClassUID, sopInstanceUID }) => ({ sopClassUID, sopInstanceUID }));
  const { askedAt, report } = await asker.ask(destination, { transactionUID, references }, cancellationSignal());
  if (report) return { of: (uid) => answerIn(report, uid), settled: () => asker.forget(transactionUID) };
  const waitedMs = now().getTime() - Date.parse(askedAt);
  if (waitedMs >= commitmentTimeoutMs) return nothingKnown(`It was asked for storage commitment at ${askedAt} and has not reported.`);
  const lookAgainMs = Math.min(maxLookMs, Math.max(minLookMs, waitedMs / 2), commitmentTimeoutMs - waitedMs);
  return { ...nothingKnown(`It was asked for storage commitment at ${askedAt}; its report is awaited.`), lookAgainMs };
}

const [minLookMs, maxLookMs] = [1_000, 10 * 60 * 1000];

function answerIn({ committed, failed }: CommitmentReport, uid: string): Answer {
  if (committed.some(({ sopInstanceUID }) => sopInstanceUID === uid)) return { is: 'there' };
  const failure = failed.find(({ sopInstanceUID }) => sopInstanceUID === uid);
  if (!failure) return { is: 'missing', problem: 'The storage commitment report of the destination does not name the instance.' };
  const { failureReason: status } = failure;
  const isWorthAgain = status === commitmentFailures.noSuchInstance || resend(status) === 'later';
  return { is: isWorthAgain ? 'missing' : 'refused', status, problem: `The destination does not commit itself to keep the instance: ${describeStatus(status)}.` };
}

/** The same for every attempt to ask the same; derived from a digest as PS3.5 B.2 derives it from a UUID. */
const transactionUIDOf = ({ tenantId, flowId, transactionId, checks }: ConfirmInstancesInput): string =>
  `2.25.${BigInt(`0x${createHash('sha256').update(`${tenantId}/${flowId}/${transactionId ?? checks}`).digest('hex').slice(0, 32)}`)}`;

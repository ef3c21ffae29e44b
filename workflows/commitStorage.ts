import { condition, proxyActivities, sleep, workflowInfo } from '@temporalio/workflow';
import type { IndexActivities } from '../activities/index.ts';
import { auditOfPark } from '../domain/audit.ts';
import { lookPauseMs, type CommitmentCounts, type CommitmentName } from '../domain/commitment.ts';
import { taskQueues, type CommitStorageInput, type CommitStorageOutcome } from './contracts.ts';
import { openEdge, type CallEdge } from './edge.ts';
import { openFlowBoard, type FlowBoard } from './flowState.ts';
import { openParkingLot, type Decision, type ParkingLot } from './park.ts';

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;
const { judgeCommitment } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '12 hours', heartbeatTimeout: '30 seconds', retry });
const { recordCommitment, recordAudit } = proxyActivities<IndexActivities>({ taskQueue: taskQueues.index, startToCloseTimeout: '5 minutes', heartbeatTimeout: '30 seconds', retry });
const edgeOptions = { startToCloseTimeout: '10 minutes', heartbeatTimeout: '30 seconds' } as const;
/** After so long a requestor that does not take its report is a person's business, and what the gateway holds is waited for no more. */
const patienceMs = 72 * 60 * 60 * 1000;
/** From when a gateway has released an instance to when every search finds it. */
const settleMs = 60_000;

/**
 * One transaction of storage commitment (PS3.4 Annex J): takes the request from its gateway's disk, waits for what is still on its way into the
 * archive, judges every reference by the archive's own bytes, tells the requestor, and lets the gateway forget the request.
 * History: about 10 events a look at the archive, 12 an attempt to tell.
 */
export async function commitStorage(input: CommitStorageInput): Promise<CommitStorageOutcome> {
  const { tenantId, gatewayId, transactionUID, callingAETitle, referenceCount } = input;
  const name: CommitmentName = { tenantId, gatewayId, transactionUID };
  let counts: CommitmentCounts = { committedCount: 0, failedCount: 0, openCount: referenceCount };
  const board = openFlowBoard(() => ({ ...counts }));
  const parking = openParkingLot(board, (event) => recordAudit([auditOfPark({ tenantId, gatewayId, flowId: workflowInfo().workflowId }, event)]));
  const atEdge = openEdge(input, board, parking);

  board.say(`Takes the request of ${callingAETitle} about ${referenceCount} instances from gateway ${gatewayId}.`);
  const taken = await parking.run('Taking the request', () => atEdge(edgeOptions, (edge) => edge.takeCommitment(name)));
  const judged = taken.done ? await parking.run('Comparing', () => judge(input, name, board, atEdge)) : taken;
  if (judged.done) counts = judged.value;
  const told = judged.done ? await tell(input, name, board, parking, atEdge) : { how: 'never' as const, decision: judged.decision };
  await recordCommitment({ ...name, flowId: workflowInfo().workflowId, eventId: `${workflowInfo().runId}-end`, at: new Date().toISOString(), told: told.how });
  await parking.run('Forgetting the request', () => atEdge(edgeOptions, (edge) => edge.releaseCommitment(name)));
  await parking.settled();
  const answered = told.how === 'never' ? `${callingAETitle} was not told` : `${callingAETitle} was told on ${told.how === 'sameAssociation' ? 'its own' : 'a new'} association`;
  board.close(told.decision?.kind === 'reject' ? 'REJECTED' : 'DONE', `${counts.committedCount} instances are committed, ${counts.failedCount + counts.openCount} are not; ${answered}.`);
  return { committedCount: counts.committedCount, failedCount: counts.failedCount + counts.openCount, told: told.how };
}

/** Looks at the archive until it has everything, or for as long as the gateway says; what the gateway itself still holds is waited for beyond that. */
async function judge({ referenceCount, waitMs }: CommitStorageInput, name: CommitmentName, board: FlowBoard, atEdge: CallEdge): Promise<CommitmentCounts> {
  const beganAt = Date.now();
  let endsAt = beganAt + waitMs;
  let wasSpooled = false;
  for (let looks = 1; ; looks++) {
    board.say(`Compares ${referenceCount} instances with the archive.`);
    const isLast = Date.now() >= endsAt;
    const counts = await judgeCommitment({ ...name, isLast });
    if (counts.openCount === 0) return counts;
    board.say(`Waits until ${new Date(endsAt).toISOString()} for ${counts.openCount} of ${referenceCount} instances, which the archive does not have yet.`);
    await sleep(Math.min(lookPauseMs(looks), Math.max(1, endsAt - Date.now())));
    if (Date.now() < endsAt || Date.now() - beganAt > patienceMs) continue;
    const { spooledCount } = await atEdge(edgeOptions, (edge) => edge.findSpooled(name));
    if (spooledCount > 0 || wasSpooled) endsAt = Date.now() + Math.min(waitMs, settleMs);
    wasSpooled = spooledCount > 0;
  }
}

type Told = { readonly how: CommitStorageOutcome['told']; readonly decision?: Decision };

/** Tells the requestor, for three days, then asks a person; at once when no retry would help. */
async function tell({ callingAETitle }: CommitStorageInput, name: CommitmentName, board: FlowBoard, parking: ParkingLot, atEdge: CallEdge): Promise<Told> {
  board.say(`Tells ${callingAETitle}.`);
  let since = Date.now();
  for (let attempt = 1; ; attempt++) {
    const step = await parking.run(`Telling ${callingAETitle}`, () => atEdge(edgeOptions, (edge) => edge.reportCommitment({ ...name, attempt })));
    if (!step.done) return { how: 'never', decision: step.decision };
    const { told, problem = '', needsPerson, pauseMs } = step.value;
    if (told) return { how: told };
    let decision: Decision | undefined;
    if (needsPerson || Date.now() - since > patienceMs) decision = await parking.ask({ errorType: 'RequestorAway', sentence: `${problem} Then retry, or skip: the requestor is never told.` });
    else decision = await pause(pauseMs, `${problem} The next attempt is at ${new Date(Date.now() + pauseMs).toISOString()}.`, board, parking);
    if (decision && decision.kind !== 'retry') return { how: 'never', decision };
    if (decision) [since, attempt] = [Date.now(), 0];
  }
}

/** @returns what a person decided meanwhile */
async function pause(pauseMs: number, sentence: string, board: FlowBoard, parking: ParkingLot): Promise<Decision | undefined> {
  let decision: Decision | undefined;
  const takeDown = board.hold('DESTINATION_AWAY', sentence, 'RequestorAway');
  const withdraw = parking.offer((given) => { decision = given; });
  await condition(() => decision !== undefined, pauseMs);
  withdraw();
  takeDown();
  return decision;
}

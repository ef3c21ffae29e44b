import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { answerSentences, steerOne, steerPage, type SteeredFlow } from '../../api/steering.ts';
import type { FlowDescription, Flows } from '../../api/flowsClient.ts';
import { createTemporalFlows } from '../../api/temporalFlows.ts';
import { temporalUiUrl } from '../../api/flowUrls.ts';
import type { InfraConfig } from '../config.ts';
import { liveStack } from '../native/claim.ts';
import { StackError } from '../native/parts.ts';
import { pathsOf } from '../native/paths.ts';
import { NAMESPACE } from '../native/temporal.ts';
import { readFlowArguments, type FlowArguments } from './flowArguments.ts';

const pageSize = 100;

/** `flows list | show | retry | skip | reject | priority`: finds flows, tells where they stand, and carries a person's decisions to them. */
export async function flows(config: InfraConfig, args: readonly string[]): Promise<number> {
  const given = readFlowArguments(args, new Date());
  const urls = liveStack(pathsOf(config.home))?.urls;
  const address = config.external.temporalAddress ?? urls?.temporalAddress;
  if (address === undefined) throw new StackError('Nothing is running here. `./pacs up` starts the PACS; TEMPORAL_ADDRESS points at one that runs elsewhere.');
  const connection = await Connection.connect({ address });
  try {
    const temporal = createTemporalFlows(new Client({ connection, namespace: NAMESPACE }));
    if (given.action === 'list') return await list(temporal, given);
    if (given.action === 'show') return await show(temporal, given.flowIds, config.passedOn['PACS_TEMPORAL_UI_URL'] ?? urls?.temporalUI);
    return given.flowIds.length > 0 ? await decideNamed(temporal, given) : await decideFound(temporal, given);
  } finally {
    await connection.close();
  }
}

async function list(temporal: Flows, { filter, limit }: FlowArguments): Promise<number> {
  let count = 0;
  for (let cursor: string | undefined, more = true; more && count < limit;) {
    const page = await temporal.page(filter, Math.min(pageSize, limit - count), cursor);
    for (const flow of page.flows) console.log(rowOf(flow));
    count += page.flows.length;
    cursor = page.next;
    more = cursor !== undefined;
  }
  console.log(count === limit ? `${count} flows; there may be more: --limit raises the number.` : `${count} flows.`);
  return 0;
}

const rowOf = (flow: FlowDescription): string =>
  [(flow.runState === 'RUNNING' ? flow.flowState ?? 'RUNNING' : flow.runState).padEnd(12), flow.startedAt.slice(0, 19), (flow.errorType ?? '-').padEnd(18), flow.flowId].join('  ');

async function show(temporal: Flows, flowIds: readonly string[], uiUrl: string | undefined): Promise<number> {
  let unknown = 0;
  for (const flowId of flowIds) {
    const flow = await temporal.describe(flowId);
    if (!flow) {
      console.log(`${flowId}\n  There is no such flow, or it ended so long ago that only the history of its study tells of it.`);
      unknown++;
      continue;
    }
    const status = flow.runState === 'RUNNING' ? await temporal.status(flowId) : undefined;
    console.log(`${flowId}\n  ${status?.state ?? flow.flowState ?? flow.runState}, since ${flow.startedAt}${flow.closedAt ? `, ended ${flow.closedAt}` : ''}${flow.errorType ? `, ${flow.errorType}` : ''}`);
    if (status) console.log(`  ${status.sentence}\n  ${Object.entries(status.counts).map(([name, value]) => `${name} ${value}`).join(', ')}`);
    else if (flow.runState === 'RUNNING') console.log('  No worker said where it stands. `./pacs status` shows whether they run.');
    if (uiUrl) console.log(`  ${temporalUiUrl(uiUrl, NAMESPACE, flowId, flow.runId)}`);
  }
  return unknown === 0 ? 0 : 1;
}

/** Flows that the person named by their IDs. */
async function decideNamed(temporal: Flows, { steering, flowIds, dryRun }: FlowArguments): Promise<number> {
  const tally = openTally();
  const decisionId = randomUUID();
  for (const flowId of flowIds) tally.add(flowId, dryRun ? 'would' : await steerOne(temporal, flowId, steering!, decisionId));
  return tally.end();
}

/** Flows that a filter finds, to the last page. */
async function decideFound(temporal: Flows, { steering, filter, dryRun }: FlowArguments): Promise<number> {
  const tally = openTally();
  const decisionId = randomUUID();
  for (let cursor: string | undefined, more = true; more;) {
    const { steered, next } = await steerPage(temporal, steering!, filter, { limit: pageSize, cursor, dryRun, decisionId });
    for (const { flow, answer } of steered) tally.add(flow.flowId, answer);
    cursor = next;
    more = next !== undefined;
  }
  return tally.end();
}

/** A line a flow, and a sum. The exit code is 1 when a flow that may still wait did not take the decision. */
function openTally() {
  const counts = new Map<SteeredFlow['answer'], number>();
  return {
    add(flowId: string, answer: SteeredFlow['answer']): void {
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
      console.log(`${answer.padEnd(10)}  ${flowId}${answer === 'taken' || answer === 'would' ? '' : `: ${answerSentences[answer]}`}`);
    },
    end(): number {
      const sum = [...counts].map(([answer, count]) => `${count} ${answer === 'would' ? 'would be decided' : answer}`).join(', ');
      console.log(sum === '' ? 'No flow that waits was found. `./pacs flows list` shows what there is.' : `${sum}.`);
      return (counts.get('unanswered') ?? 0) + (counts.get('failed') ?? 0) > 0 ? 1 : 0;
    },
  };
}

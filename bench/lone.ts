import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { printProgress } from '../infra/commands/show.ts';
import type { DemoApi } from '../infra/demo/api.ts';
import { startChild } from './child.ts';
import { makeLoad } from './load.ts';
import type { Bench } from './section.ts';
import type { SenderReport } from './sender.ts';

/** Associations of one CR image each, one after the other. */
export interface Lone {
  /** From the first byte of C-STORE until QIDO-RS has it. */
  readonly foundMs: readonly number[];
  /** What one of them cost in Temporal until its study was closed or waits for more: by name how often. */
  readonly activities: Readonly<Record<string, number>>;
  readonly events: number;
}

const pollMs = 10;
const patienceMs = 60_000;
/** The rest of the flow, after the instance is found. */
const settleMs = 3_000;

export async function measureLone({ config, stack }: Bench, api: DemoApi, count: number): Promise<Lone> {
  const loadFolder = await makeLoad(config.home, 'cr8', printProgress);
  const { host, port, aeTitle } = stack.urls.dicom;
  const foundMs: number[] = [];
  let last: SenderReport | undefined;
  for (let number = 0; number < count; number++) {
    const sender = startChild<SenderReport>('sender.ts', { loadFolder, associationCount: 1, instanceCount: 1, host, port, calledAETitle: aeTitle });
    try {
      await sender.ready;
      last = await sender.go();
    } finally {
      sender.stop();
    }
    const [study = ''] = Object.keys(last.studies);
    for (const deadline = Date.now() + patienceMs; await api.findInstances(study) === 0 && Date.now() < deadline;) await sleep(pollMs);
    foundMs.push(Date.now() - last.firstSentAt);
  }
  console.log(`  one CR image an association, found after ${foundMs.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  await sleep(settleMs);
  return { foundMs, ...await actionsOf(stack.urls.temporalAddress, Object.keys(last?.studies ?? {})[0] ?? '') };
}

/** Counts what the flows of a study have done so far: its own, and that of the association that brought it. */
async function actionsOf(address: string, study: string): Promise<Pick<Lone, 'activities' | 'events'>> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace: 'pacs' });
    const activities: Record<string, number> = {};
    let events = 0;
    for await (const { workflowId, runId } of client.workflow.list({ query: `StudyInstanceUID = "${study}" OR StudyInstanceUIDs = "${study}"` })) {
      const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      for (const event of history.events ?? []) {
        events++;
        const name = event.activityTaskScheduledEventAttributes?.activityType?.name;
        if (name) activities[name] = (activities[name] ?? 0) + 1;
      }
    }
    return { activities, events };
  } finally {
    await connection.close();
  }
}

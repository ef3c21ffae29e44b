import { Client, Connection } from '@temporalio/client';
import type { InfraConfig } from '../infra/config.ts';
import { createRandom } from '../test/faults/harness/random.ts';
import { makeStudy } from '../test/faults/harness/studies.ts';
import { storeInstances } from '../edge-gateway/scu/store.ts';
import { save, settingOf, settingText } from './report.ts';
import { apiOf, untilFound } from './run.ts';
import { withStack } from './stackOfBench.ts';
import { markdownTable } from './statistics.ts';

/** One run of a flow: a flow that continued as new has several. */
interface FlowRun {
  readonly flow: string;
  readonly events: number;
  readonly bytes: number;
}

/** Where Temporal ends a run; it suggests to continue as new at 4,096 events or 4 MB. */
const limits = { events: 51_200, bytes: 50 * 1024 * 1024 };

/**
 * Sends one study of many small instances over one association and tells how long the histories of its flows are.
 *
 * @returns 0 when every instance is found and no run comes near a limit
 */
export async function benchHistory(config: InfraConfig, instanceCount: number, command: string): Promise<number> {
  const setting = settingOf(command);
  const study = makeStudy(createRandom('history'), 'mr', instanceCount);
  let runs: readonly FlowRun[] = [];
  let seconds = 0;
  await withStack(config, async (stack) => {
    const { host, port, aeTitle } = stack.urls.dicom;
    const began = Date.now();
    let accepted = 0;
    for await (const result of storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'BENCH' }, study.instances)) {
      if (result.outcome === 'answered' && result.status === 0) accepted++;
    }
    const foundAt = await untilFound(await apiOf(stack), { studies: { [study.studyInstanceUID]: accepted } });
    if (accepted !== instanceCount || foundAt === undefined) throw new Error(`${accepted} of ${instanceCount} were accepted, and they were ${foundAt ? '' : 'not '}found`);
    seconds = (foundAt - began) / 1000;
    runs = await runsOf(stack.urls.temporalAddress);
  });
  const text = [
    `${settingText(setting)} One study of ${instanceCount} instances over one association, found after ${seconds.toFixed(0)} s.`,
    markdownTable(['flow', 'events', 'KB', 'of the limit of events'], runs.map(({ flow, events, bytes }) => [flow, `${events}`, (bytes / 1000).toFixed(0), `${(100 * events / limits.events).toFixed(1)} %`])),
  ].join('\n\n');
  console.log(`\n${text}\n\n${save(config.home, 'history', text, { setting, instanceCount, seconds, runs })}`);
  return runs.every(({ events, bytes }) => events < limits.events / 10 && bytes < limits.bytes / 10) ? 0 : 1;
}

async function runsOf(address: string): Promise<readonly FlowRun[]> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace: 'pacs' });
    const runs: FlowRun[] = [];
    for await (const { workflowId, runId, type } of client.workflow.list()) {
      const { historyLength, historySize } = await client.workflow.getHandle(workflowId, runId).describe();
      runs.push({ flow: type, events: Number(historyLength), bytes: Number(historySize ?? 0) });
    }
    return runs.toSorted((a, b) => a.flow.localeCompare(b.flow));
  } finally {
    await connection.close();
  }
}

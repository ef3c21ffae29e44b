import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';

export type Fairness = 'effective' | 'ignored' | 'unknown';

/** Of the first key, queued before those of the second. */
const crowd = 24;
const few = 6;
/** Tasks taken: a server that is fair hands out about as many of each key, one that is not only the crowd's. */
const taken = 12;
const enough = 3;
const callTimeoutMs = 10_000;

/**
 * Finds out whether the server shares a queue between fairness keys: it takes the keys without a word also when it ignores them
 * (`matching.enableFairness` is off by default). Queues the first tasks of a few flows on a queue of its own, where nobody works, looks at the order
 * in which they come, and deletes the flows.
 *
 * @returns `unknown` when the server did not answer in time
 */
export async function probeFairness(client: Client): Promise<Fairness> {
  const taskQueue = `pacs-probe/${randomUUID()}`;
  const { namespace } = client.options;
  const idOf = (key: string, number: number): string => `${taskQueue}/${key}/${number}`;
  const ids = [...Array.from({ length: crowd }, (_, number) => idOf('crowd', number)), ...Array.from({ length: few }, (_, number) => idOf('few', number))];
  try {
    for (const workflowId of ids) {
      await client.withDeadline(Date.now() + callTimeoutMs, () => client.workflow.start('fairnessProbe',
        { workflowId, taskQueue, workflowRunTimeout: '1 minute', priority: { fairnessKey: workflowId.includes('/few/') ? 'few' : 'crowd' } }));
    }
    let ofFew = 0;
    for (let count = 0; count < taken; count++) {
      const { workflowExecution } = await client.withDeadline(Date.now() + callTimeoutMs, () =>
        client.workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity: client.options.identity }));
      if (!workflowExecution?.workflowId) return 'unknown';
      if (workflowExecution.workflowId.includes('/few/')) ofFew++;
    }
    return ofFew >= enough ? 'effective' : 'ignored';
  } catch {
    return 'unknown';
  } finally {
    await Promise.allSettled(ids.map((workflowId) => client.workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } })));
  }
}

import { defineUpdate, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { IngestActivities } from '../activities/index.ts';
import { isPriority, priorities, type Priority } from '../domain/tenant.ts';
import { setPriorityUpdate, taskQueues, type PriorityDecision } from './contracts.ts';
import type { ParkingLot } from './park.ts';

/** How urgent a flow is; a person may change it while the flow runs. */
export interface Urgency {
  /** For what this flow starts: its studies, its routes, its next run. */
  readonly priority: Priority;
  /** Set by a person, so that it goes before what a rule says. */
  readonly chosen: Priority | undefined;
}

/** Ahead of the work whose order it changes. */
const { applyPriority } = proxyActivities<Pick<IngestActivities, 'applyPriority'>>({
  taskQueue: taskQueues.ingest, startToCloseTimeout: '30 seconds', retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
  priority: { priorityKey: priorities.urgent },
});

/**
 * Takes the update `setPriority`. The server gives the flow's queued tasks, in the cloud and at the edge, their new place and its
 * next ones the same priority; what has begun goes on.
 *
 * @param chosen what a person chose in the run before
 */
export function openUrgency(tenantId: string, given: Priority, chosen: Priority | undefined, parking: Pick<ParkingLot, 'note'>): Urgency {
  let now = chosen;
  setHandler(defineUpdate<void, [PriorityDecision]>(setPriorityUpdate), async ({ priority, by, why }) => {
    now = priority;
    parking.note('prioritised', by, `Priority ${priority}: ${why}`);
    await applyPriority({ tenantId, flowId: workflowInfo().workflowId, priority });
  }, {
    description: 'Put the flow before or behind others: priority 1 (urgent) to 5 (bulk). Needs by (who) and why.',
    validator: (decision: PriorityDecision | undefined) => {
      if (!isPriority(decision?.priority)) throw new Error('priority takes 1 (urgent) to 5 (bulk)');
      if (!isText(decision.by) || !isText(decision.why)) throw new Error('Say who decides and why: {"priority": 1, "by": "name", "why": "reason"}');
    },
  });
  return {
    get priority() {
      return now ?? given;
    },
    get chosen() {
      return now;
    },
  };
}

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';

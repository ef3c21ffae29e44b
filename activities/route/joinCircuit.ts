import type { Client } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { defaultMaxAssociations } from '../../domain/circuit.ts';
import type { TenantStore } from '../../stores/ports.ts';
import { joinSignal, searchAttributes, taskQueues, type DestinationCircuitInput, type WaitingDelivery } from '../../workflows/contracts.ts';
import { destinationWorkflowId } from '../../workflows/ids.ts';
import { findDestination } from './findDestination.ts';

export interface JoinCircuitDeps {
  readonly tenants: TenantStore;
  readonly client: () => Client;
  readonly firstRetryMs: number;
}

/** Shorter than the activity's own timeout: an attempt that was given up leaves no call behind. */
const callTimeoutMs = 20_000;

/**
 * Lets a delivery wait at its destination's flow, which it starts when none runs. Idempotent: a delivery waits there once.
 *
 * @throws `UnknownDestination` for good
 */
export const createJoinCircuit = (deps: JoinCircuitDeps) =>
  async function joinCircuit({ tenantId, destinationId, delivery }: { readonly tenantId: string; readonly destinationId: string; readonly delivery: WaitingDelivery }): Promise<void> {
    const destination = await findDestination(deps.tenants, tenantId, destinationId);
    const input: DestinationCircuitInput = {
      tenantId, destinationId, firstRetryMs: deps.firstRetryMs, maxAssociations: destination.maxAssociations ?? defaultMaxAssociations,
      ...(destination.kind === 'dicom' ? { gatewayId: destination.gatewayId } : {}),
    };
    const client = deps.client();
    await client.withDeadline(Date.now() + callTimeoutMs, () => client.workflow.signalWithStart('destinationCircuit', {
      workflowId: destinationWorkflowId(tenantId, destinationId), taskQueue: taskQueues.core, args: [input], signal: joinSignal, signalArgs: [delivery],
      staticSummary: `Destination ${destinationId}: deliveries that wait for it`,
      workflowIdReusePolicy: 'ALLOW_DUPLICATE', priority: { priorityKey: 1, fairnessKey: tenantId },
      typedSearchAttributes: new TypedSearchAttributes([
        keyword(searchAttributes.tenantId, tenantId), keyword(searchAttributes.destinationId, destinationId), keyword(searchAttributes.flowState, 'RUNNING'),
      ]),
    }));
  };

const keyword = (name: string, value: string) => ({ key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value });

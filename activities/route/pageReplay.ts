import { cancellationSignal } from '@temporalio/activity';
import { defaultMaxAssociations } from '../../domain/circuit.ts';
import { isSelected, type ReplaySelection } from '../../domain/delivery.ts';
import type { AuditLog, DeliveryStore, TenantStore } from '../../stores/ports.ts';
import { routeWorkflowId } from '../../workflows/ids.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDestination } from './findDestination.ts';

export interface PageReplayInput {
  readonly tenantId: string;
  readonly destinationId: string;
  readonly jobId: string;
  readonly selection: ReplaySelection;
  readonly by: string;
  readonly why: string;
  /** Counts alone: nothing will be sent, so the histories of the studies do not hear of it. */
  readonly dryRun: boolean;
  /** Ledgers that are read. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly cursor?: string;
}

export interface ReplayPage {
  /** Studies with at least one selected delivery. */
  readonly studyInstanceUIDs: readonly string[];
  /** Their selected deliveries. */
  readonly instanceCount: number;
  readonly maxAssociations: number;
  /** The gateway whose queue reaches the destination; absent for DICOMweb. */
  readonly gatewayId?: string;
  readonly next?: string;
}

export interface PageReplayDeps {
  readonly tenants: TenantStore;
  readonly deliveries: Pick<DeliveryStore, 'get' | 'list'>;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly now: () => Date;
}

/**
 * Looks through a page of a destination's delivery ledgers for what is to be sent again, and writes into the history of each study found who
 * asked for it and why. Safe to repeat: the event's ID follows from the job.
 *
 * @throws `UnknownDestination` for good
 */
export const createPageReplay = (deps: PageReplayDeps) =>
  async function pageReplay({ tenantId, destinationId, jobId, selection, by, why, dryRun, limit, cursor }: PageReplayInput): Promise<ReplayPage> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const destination = await findDestination(deps.tenants, tenantId, destinationId);
      const page = await deps.deliveries.list(tenantId, destinationId, { cursor, limit }, signal);
      const found: string[] = [];
      let instanceCount = 0;
      for (const studyInstanceUID of page.studyInstanceUIDs) {
        signal.throwIfAborted();
        const { value } = await deps.deliveries.get(tenantId, destinationId, studyInstanceUID);
        const count = value.instances.filter((entry) => isSelected(entry, selection)).length;
        instanceCount += count;
        if (count > 0) found.push(studyInstanceUID);
      }
      const at = deps.now().toISOString();
      if (!dryRun) {
        await deps.audit.record(found.map((studyInstanceUID) => {
          const flowId = routeWorkflowId(tenantId, studyInstanceUID, 'replay', jobId);
          return { tenantId, studyInstanceUID, destinationId, flowId, at, eventId: `${flowId}-requested`, actor: by, action: 'route.requested' as const, detail: `Sent again: ${why}` };
        }));
      }
      return { studyInstanceUIDs: found, instanceCount, maxAssociations: destination.maxAssociations ?? defaultMaxAssociations,
        ...(destination.kind === 'dicom' ? { gatewayId: destination.gatewayId } : {}), ...(page.next === undefined ? {} : { next: page.next }) };
    });
  };

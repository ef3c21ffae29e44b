import { cancellationSignal } from '@temporalio/activity';
import type { Destination } from '../../domain/tenant.ts';
import type { Probe, TenantStore } from '../../stores/ports.ts';
import { findDestination } from './findDestination.ts';

export interface ProbeDestinationDeps {
  readonly tenants: TenantStore;
  readonly probes: { readonly [Kind in Destination['kind']]?: Probe<Extract<Destination, { kind: Kind }>> };
}

/**
 * Asks a destination whether it is there, by C-ECHO or one small request. Sends nothing of a patient.
 *
 * @returns the problem in words when it does not answer
 * @throws `UnknownDestination` for good
 */
export const createProbeDestination = (deps: ProbeDestinationDeps) =>
  async function probeDestination({ tenantId, destinationId }: { readonly tenantId: string; readonly destinationId: string }): Promise<{ readonly problem?: string }> {
    const destination = await findDestination(deps.tenants, tenantId, destinationId);
    const probe = deps.probes[destination.kind] as Probe | undefined;
    if (!probe) throw new Error(`This worker does not reach ${destination.kind} destinations; give it another role`);
    try {
      await probe(destination, cancellationSignal());
      return {};
    } catch (error) {
      cancellationSignal().throwIfAborted();
      return { problem: error instanceof Error ? error.message : String(error) };
    }
  };

import type { Trouble } from '../../domain/circuit.ts';
import type { CircuitStore } from '../../stores/ports.ts';

/** Shows every worker that a destination's circuit is open, or closed again. Idempotent. */
export const createSetCircuit = (deps: { readonly circuits: CircuitStore }) =>
  async function setCircuit({ tenantId, destinationId, open }: { readonly tenantId: string; readonly destinationId: string; readonly open?: Trouble }): Promise<void> {
    await deps.circuits.set(tenantId, destinationId, open);
  };

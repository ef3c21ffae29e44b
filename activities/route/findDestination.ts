import type { Destination } from '../../domain/tenant.ts';
import type { TenantStore } from '../../stores/ports.ts';
import { permanent } from '../failure.ts';

/** @throws `UnknownDestination` for good when the tenant's configuration does not have it */
export async function findDestination(tenants: TenantStore, tenantId: string, destinationId: string): Promise<Destination> {
  const config = (await tenants.get(tenantId))?.value;
  const destination = config?.destinations.find((candidate) => candidate.destinationId === destinationId);
  if (!destination) throw permanent('UnknownDestination', `Destination ${destinationId} of tenant ${tenantId}`);
  return destination;
}

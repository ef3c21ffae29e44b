import type { TenantStore } from '../../stores/ports.ts';

export interface FindMoveDestinationInput { readonly tenantId: string; readonly aeTitle: string }

/** Where a Move Destination is, by its called AE title. @returns undefined when the tenant has no DICOM destination of that title */
export const createFindMoveDestination = ({ tenants }: { readonly tenants: TenantStore }) =>
  async function findMoveDestination({ tenantId, aeTitle }: FindMoveDestinationInput): Promise<{ readonly destinationId: string; readonly gatewayId: string } | undefined> {
    const found = (await tenants.get(tenantId))?.value.destinations.find((each) => each.kind === 'dicom' && each.calledAETitle === aeTitle);
    return found?.kind === 'dicom' ? { destinationId: found.destinationId, gatewayId: found.gatewayId } : undefined;
  };

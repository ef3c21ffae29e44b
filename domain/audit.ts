/** What can happen to a study, in the words of its history. */
export type AuditAction =
  | 'association.received' | 'study.uploaded'
  | 'pack.archived' | 'instance.quarantined' | 'instance.duplicate' | 'instance.conflict' | 'conflict.decided' | 'pack.damaged' | 'pack.healed' | 'pack.removed' | 'tenant.swept'
  | 'study.indexed' | 'study.stable'
  | 'route.requested' | 'route.started' | 'route.delivered' | 'route.failed' | 'deliveries.replayed'
  | 'move.requested' | 'move.ended'
  | 'flow.parked' | 'flow.retried' | 'flow.skipped' | 'flow.rejected' | 'flow.prioritised'
  | 'study.retrieved' | 'commitment.reported' | 'commitment.unreported';

/**
 * One event of a study's history. Carries UIDs, AE titles and counts; no patient attribute.
 * `eventId` follows from the flow and the step, so that recording it twice changes nothing.
 */
export interface AuditEvent {
  readonly tenantId: string;
  readonly eventId: string;
  /** ISO 8601 UTC: when it happened, not when it was written. */
  readonly at: string;
  readonly action: AuditAction;
  /** Who: `AETITLE@gatewayId`, a token's subject, or the flow itself as `flow`. */
  readonly actor: string;
  readonly studyInstanceUID?: string;
  readonly seriesInstanceUID?: string;
  readonly sopInstanceUID?: string;
  readonly flowId?: string;
  readonly gatewayId?: string;
  readonly associationId?: string;
  readonly packId?: string;
  readonly destinationId?: string;
  readonly counts?: Readonly<Record<string, number>>;
  /** A sentence for a reader: a quarantine's reason, a person's why. */
  readonly detail?: string;
}

const parkActions = { parked: 'flow.parked', retry: 'flow.retried', skip: 'flow.skipped', reject: 'flow.rejected', prioritised: 'flow.prioritised' } as const;

/** A flow began to wait for a person, or the person decided. */
export interface ParkEvent {
  readonly kind: keyof typeof parkActions;
  /** Who decided; `flow` when it parked. */
  readonly by: string;
  readonly why: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  /** The flow's run and the event's number in it: several may happen at the same moment. */
  readonly eventId: string;
}

export const auditOfPark = (flow: Pick<AuditEvent, 'tenantId' | 'studyInstanceUID' | 'flowId' | 'gatewayId' | 'destinationId'>,
  { kind, by, why, at, eventId }: ParkEvent): AuditEvent => ({ ...flow, at, eventId, actor: by, action: parkActions[kind], detail: why });

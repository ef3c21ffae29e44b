import type { AuditAction, AuditEvent } from './audit.ts';
import type { IndexedInstance, Verdict } from './instance.ts';
import { outcomeOf, type PackIndex } from './pack.ts';

/** At most so many instances of one pack get an event of their own; the pack's event has the counts. */
const maxInstanceEvents = 50;

const actionOf: Partial<Record<Verdict, AuditAction>> = {
  quarantined: 'instance.quarantined', duplicate: 'instance.duplicate', conflict: 'instance.conflict',
};

/**
 * The history of a pack's way into the archive: the association's arrival (once per study), the commit, and each
 * quarantined or conflicting instance. Event IDs follow from association, pack and instance.
 *
 * @param at when archivePack ran, ISO 8601 UTC
 */
export function ingestEvents(pack: PackIndex, at: string): readonly AuditEvent[] {
  const { tenantId, studyInstanceUID, seriesInstanceUID, packId, origin } = pack;
  const { associationId, gatewayId } = origin;
  const actor = `${origin.callingAETitle}@${gatewayId}`;
  const base = { tenantId, studyInstanceUID, actor, associationId, gatewayId };
  const received: AuditEvent = {
    ...base, eventId: `${associationId}-${studyInstanceUID}-received`, at: origin.receivedAt,
    action: origin.kind === 'stow' ? 'study.uploaded' : 'association.received',
  };
  const archived: AuditEvent = {
    ...base, eventId: `${associationId}-${packId}-archived`, at, action: 'pack.archived', seriesInstanceUID, packId,
    counts: { ...outcomeOf(pack.instances) },
  };
  const noted = pack.instances.filter(({ verdict }) => verdict === 'quarantined' || verdict === 'conflict').slice(0, maxInstanceEvents);
  return [received, archived, ...noted.map((instance) => instanceEvent(instance, { ...archived, counts: undefined }))];
}

function instanceEvent(instance: IndexedInstance, pack: Omit<AuditEvent, 'counts'> & { counts: undefined }): AuditEvent {
  const { counts: _, ...base } = pack;
  return {
    ...base, eventId: `${base.associationId}-${base.packId}-${instance.sopInstanceUID}`, action: actionOf[instance.verdict]!,
    sopInstanceUID: instance.sopInstanceUID, ...(instance.reason === undefined ? {} : { detail: instance.reason }),
  };
}

import type { AuditEvent } from '../domain/audit.ts';
import type { AuditLog } from '../stores/ports.ts';

/** Writes what a flow decided into its study's history. Idempotent: event IDs follow from the flow and its step. */
export const createRecordAudit = (deps: { readonly audit: Pick<AuditLog, 'record'> }) =>
  async function recordAudit(events: readonly AuditEvent[]): Promise<void> {
    await deps.audit.record(events);
  };

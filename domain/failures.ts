/**
 * Failures that no retry cures, each with the sentence an operator reads. An activity throws one by its type
 * (activities/failure.ts); Temporal does not retry it and the flow parks with FlowState=ATTENTION.
 * Texts name keys and UIDs, never attribute values.
 */
export const permanentFailures = {
  SpoolMissing: 'The pack is no longer on the gateway\'s disk, and the archive does not have it. Ask the sender to send the study again, then skip this pack.',
  SpoolUnreadable: 'The pack on the gateway\'s disk is not as it was closed: the disk lost or changed bytes. Check the disk and the spool\'s log, ask the sender to send the study again, then skip this pack.',
  PackCorrupt: 'What lies in the archive under this key is not what the gateway received. Compare the gateway\'s spool with the archive, then retry.',
  PackUnstaged: 'The archive does not have the pack any more: it was staged and not committed for so long that a sweep removed it. Ask the sender to send it again, then retry.',
  PackDamaged: 'What lies in the archive is not what was committed. Put the pack back from a copy of the bucket, or bring its gateway back, then retry, which asks every source again; or skip to leave it.',
  StudyMismatch: 'The pack names another study or tenant than its flow. This points to a fault in the software: keep the pack and report it.',
  UnknownDestination: 'The destination is not in the tenant\'s configuration. Add it again and retry, or skip the delivery.',
  DestinationRefused: 'The destination refuses these instances for good, so sending them again does not help. Read the delivery ledger for each status, mend the destination, then retry, or skip.',
  DeliveryUnconfirmed: 'The destination reported success, but its confirmation policy does not find the instances there. Check the destination, then retry.',
  CommitmentMissing: 'The storage commitment request is neither on the gateway\'s disk nor in the archive. Have the requestor ask again, then skip this one.',
} as const;

export type PermanentFailure = keyof typeof permanentFailures;
export const isPermanentFailure = (type: string): type is PermanentFailure => Object.hasOwn(permanentFailures, type);

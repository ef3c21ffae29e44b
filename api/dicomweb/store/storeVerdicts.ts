import { resolveStudy } from '../../../domain/documents.ts';
import type { Verdict } from '../../../domain/instance.ts';
import type { ArchiveStore } from '../../../stores/ports.ts';
import type { ReceivedInstance, Refusal } from './receivePart.ts';
import type { ClosedPack } from './stowPacks.ts';
import type { StoreResult } from './storeResponse.ts';
import { storeReasons } from './storeReasons.ts';

export type VerdictSource = Pick<ArchiveStore, 'getIndex' | 'listIndexes'>;

const reasonOf: Readonly<Record<Verdict, number | undefined>> = {
  accepted: undefined, duplicate: undefined, conflict: storeReasons.conflict, quarantined: storeReasons.notUnderstood,
};

/**
 * Asks the archive what became of the instances of a request, once their flow has ended. A pack that is not committed held
 * nothing new, so its instances are looked up in their study; what the archive has nowhere was taken out of its flow.
 */
export async function storeVerdicts(archive: VerdictSource, packs: readonly Pick<ClosedPack, 'identity'>[], received: readonly ReceivedInstance[], signal: AbortSignal): Promise<StoreResult> {
  const verdicts = new Map<string, Verdict>();
  const unanswered = new Map<string, string>();
  for (const { identity } of packs) {
    const index = await archive.getIndex(identity, signal);
    if (!index) unanswered.set(identity.studyInstanceUID, identity.tenantId);
    for (const { sopInstanceUID, sha256, verdict } of index?.instances ?? []) note(verdicts, sopInstanceUID, sha256, verdict);
  }
  for (const [studyInstanceUID, tenantId] of unanswered) {
    const { current, setAside } = resolveStudy(await archive.listIndexes(tenantId, studyInstanceUID, signal));
    for (const { sopInstanceUID, sha256 } of current) note(verdicts, sopInstanceUID, sha256, 'accepted');
    for (const { sopInstanceUID, sha256, verdict } of setAside) note(verdicts, sopInstanceUID, sha256, verdict);
  }
  const stored: ReceivedInstance[] = [];
  const refused: Refusal[] = [];
  for (const instance of received) {
    const verdict = verdicts.get(key(instance.sopInstanceUID, instance.sha256));
    const reason = verdict === undefined ? storeReasons.processingFailure : reasonOf[verdict];
    if (reason === undefined) stored.push(instance);
    else refused.push({ reason, instance });
  }
  return { stored, refused };
}

const key = (sopInstanceUID: string, sha256: string): string => `${sopInstanceUID} ${sha256}`;

/** Of several verdicts on the same bytes the one that has them stored counts. */
function note(verdicts: Map<string, Verdict>, sopInstanceUID: string, sha256: string, verdict: Verdict): void {
  const known = verdicts.get(key(sopInstanceUID, sha256));
  if (known === undefined || reasonOf[verdict] === undefined) verdicts.set(key(sopInstanceUID, sha256), verdict);
}

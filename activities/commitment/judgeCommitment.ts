import { createHash } from 'node:crypto';
import { cancellationSignal } from '@temporalio/activity';
import { commitmentFailures } from '../../dicom/storageCommitment.ts';
import { countsOfCommitment, type Commitment, type CommitmentCounts, type CommitmentName, type JudgedReference } from '../../domain/commitment.ts';
import { resolveStudy, type CurrentInstance } from '../../domain/documents.ts';
import type { ArchiveStore, AuditLog, CommitmentStore, StudyIndex } from '../../stores/ports.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface JudgeCommitmentDeps {
  readonly archive: Pick<ArchiveStore, 'listIndexes' | 'readRange' | 'packLengthBytes'>;
  /** Says which study to look at, and nothing else: what is there, the archive's own bytes say. */
  readonly index: Pick<StudyIndex, 'findHolders'>;
  readonly commitments: CommitmentStore;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly now: () => Date;
}

export interface JudgeCommitmentInput extends CommitmentName {
  /** What the archive does not have now counts as not there. */
  readonly isLast: boolean;
}

/** References that one question to the index is about. */
const pageSize = 500;

/**
 * Judges the references of a request that nothing is known of yet: an instance is committed when its study's pack indexes have it as current, in
 * the class that was named, and its bytes, read from the archive, have their SHA-256. Written down page by page, where the
 * next attempt goes on. Damage is written into the study's history.
 */
export const createJudgeCommitment = (deps: JudgeCommitmentDeps) =>
  async function judgeCommitment({ isLast, ...name }: JudgeCommitmentInput): Promise<CommitmentCounts> {
    return withHeartbeat(async () => {
      const stored = await deps.commitments.get(name);
      if (!stored) throw new Error(`Transaction ${name.transactionUID} of gateway ${name.gatewayId} (tenant ${name.tenantId}) is not in the archive`);
      let [{ value: commitment, etag }, changed] = [stored, false];
      const studies = openStudies(deps, name.tenantId);
      for (let at = 0; at < commitment.references.length; at += pageSize) {
        const page = commitment.references.slice(at, at + pageSize);
        const judged = await judgePage(deps, commitment, page, studies, isLast);
        if (judged.every(({ status }, index) => status === page[index]!.status)) continue;
        commitment = { ...commitment, references: [...commitment.references.slice(0, at), ...judged, ...commitment.references.slice(at + pageSize)] };
        etag = await deps.commitments.put(commitment, etag);
        changed = true;
      }
      return countsOfCommitment(changed ? commitment : stored.value);
    });
  };

type Studies = (studyInstanceUID: string) => Promise<ReadonlyMap<string, CurrentInstance>>;

async function judgePage(deps: JudgeCommitmentDeps, commitment: Commitment, page: readonly JudgedReference[], studies: Studies, isLast: boolean): Promise<readonly JudgedReference[]> {
  const open = page.filter(({ status }) => status === undefined);
  if (open.length === 0) return page;
  const holders = Map.groupBy(await deps.index.findHolders(commitment.tenantId, open.map(({ sopInstanceUID }) => sopInstanceUID), isLast ? 'everything' : 'searchable'), ({ sopInstanceUID }) => sopInstanceUID);
  const judged: JudgedReference[] = [];
  for (const reference of page) {
    const studyUIDs = reference.status === undefined ? holders.get(reference.sopInstanceUID)?.map(({ studyInstanceUID }) => studyInstanceUID) ?? [] : [];
    const found = await findIn(studies, studyUIDs, reference.sopInstanceUID);
    if (found) judged.push({ ...reference, studyInstanceUID: found.studyInstanceUID, status: await statusOf(deps, commitment, reference, found) });
    else judged.push(reference.status === undefined && isLast ? { ...reference, status: commitmentFailures.noSuchInstance } : reference);
  }
  return judged;
}

type Found = CurrentInstance & { readonly studyInstanceUID: string };

/** The first of the studies that has the instance by its own packs: the index may say so of one that has not. */
async function findIn(studies: Studies, studyInstanceUIDs: readonly string[], sopInstanceUID: string): Promise<Found | undefined> {
  for (const studyInstanceUID of studyInstanceUIDs) {
    const instance = (await studies(studyInstanceUID)).get(sopInstanceUID);
    if (instance) return { ...instance, studyInstanceUID };
  }
  return undefined;
}

async function statusOf(deps: JudgeCommitmentDeps, { tenantId, gatewayId, transactionUID }: Commitment, { sopClassUID }: JudgedReference, instance: Found): Promise<number> {
  if (instance.sopClassUID !== sopClassUID) return commitmentFailures.classInstanceConflict;
  const { studyInstanceUID, sopInstanceUID, seriesInstanceUID, packId } = instance;
  if (await digestOf(deps, { tenantId, studyInstanceUID, seriesInstanceUID, packId }, instance) === instance.sha256) return 0;
  await deps.audit.record([{ tenantId, studyInstanceUID, seriesInstanceUID, sopInstanceUID, packId, gatewayId, eventId: `${transactionUID}-${sopInstanceUID}-damaged`,
    at: deps.now().toISOString(), actor: 'commitment', action: 'pack.damaged', detail: `Pack ${packId.slice(0, 12)}: the bytes of instance ${sopInstanceUID} do not have their SHA-256.` }]);
  return commitmentFailures.processingFailure;
}

/** @returns undefined when the pack's tar is gone or too short */
async function digestOf({ archive }: JudgeCommitmentDeps, pack: Parameters<ArchiveStore['readRange']>[0], { offsetBytes, lengthBytes }: CurrentInstance): Promise<string | undefined> {
  const signal = cancellationSignal();
  const packLengthBytes = await archive.packLengthBytes(pack, signal);
  if (packLengthBytes === undefined || packLengthBytes < offsetBytes + lengthBytes) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of await archive.readRange(pack, offsetBytes, lengthBytes, signal) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** The current instances of a study by SOP Instance UID, read once an attempt; one study at a time is kept. */
function openStudies({ archive }: JudgeCommitmentDeps, tenantId: string): Studies {
  let kept: { readonly studyInstanceUID: string; readonly current: ReadonlyMap<string, CurrentInstance> } | undefined;
  return async (studyInstanceUID) => {
    if (kept?.studyInstanceUID !== studyInstanceUID) {
      const packs = await archive.listIndexes(tenantId, studyInstanceUID, cancellationSignal());
      kept = { studyInstanceUID, current: new Map(resolveStudy(packs).current.map((instance) => [instance.sopInstanceUID, instance])) };
    }
    return kept.current;
  };
}

import { resolveStudy } from '../../domain/documents.ts';
import type { PackIndex } from '../../domain/pack.ts';
import { rightfulHolder, type Holder } from '../../domain/sweep.ts';
import type { ArchiveStore, AuditLog, StudyIndex } from '../../stores/ports.ts';
import type { StudyIdentity } from '../../workflows/contracts.ts';

export interface SettleHoldersDeps {
  readonly archive: Pick<ArchiveStore, 'listIndexes' | 'addChoice'>;
  readonly index: Pick<StudyIndex, 'findHolders'>;
  readonly audit: Pick<AuditLog, 'record'>;
  /** Has a study's own flow write its documents again (askRewrite). */
  readonly rewrite: (study: StudyIdentity) => Promise<void>;
  readonly now: () => Date;
}

export interface SettleHoldersInput {
  /** Every pack of the study. */
  readonly packs: readonly PackIndex[];
  /** The packs whose instances to look for elsewhere; absent is all. */
  readonly among?: ReadonlySet<string> | undefined;
  /** What the index is asked for, see StudyIndex.findHolders. */
  readonly sees: Parameters<StudyIndex['findHolders']>[2];
  readonly by: 'flow' | 'sweep';
}

/** At most so many instances get an event of their own. */
const maxEvents = 50;
const why = 'Two studies held this SOP Instance UID; the first commit stays current.';

/**
 * Of a SOP Instance UID that several studies hold, one keeps it (`rightfulHolder`): the others give it up by a choice in the archive, and
 * those that the index shows as holders write their documents again. The index only tells where to look, the archive decides.
 * Safe to repeat.
 *
 * @returns what this study gave up, and what others did
 */
export async function settleHolders(deps: SettleHoldersDeps, study: StudyIdentity, { packs, among, sees, by }: SettleHoldersInput, signal: AbortSignal): Promise<{ readonly own: number; readonly others: number }> {
  const { tenantId, studyInstanceUID } = study;
  const uids = resolveStudy(packs).current.filter(({ packId }) => !among || among.has(packId)).map(({ sopInstanceUID }) => sopInstanceUID);
  const others = uids.length === 0 ? [] : (await deps.index.findHolders(tenantId, uids, sees)).filter((holder) => holder.studyInstanceUID !== studyInstanceUID);
  const claims = new Map([[studyInstanceUID, claimsOf(packs)]]);
  for (const other of new Set(others.map((holder) => holder.studyInstanceUID))) claims.set(other, claimsOf(await deps.archive.listIndexes(tenantId, other, signal)));
  const yields: Yield[] = [];
  for (const [sopInstanceUID, group] of Map.groupBy(others, (holder) => holder.sopInstanceUID)) {
    const holders = [studyInstanceUID, ...new Set(group.map((holder) => holder.studyInstanceUID))].flatMap((each) => claims.get(each)?.get(sopInstanceUID) ?? []);
    const [first, ...rest] = holders;
    const right = first && rightfulHolder([first, ...rest]);
    for (const holder of holders.filter((each) => each !== right)) yields.push({ loser: holder.studyInstanceUID, sopInstanceUID, heldBy: right!.studyInstanceUID });
  }
  const at = deps.now().toISOString();
  await deps.audit.record(yields.slice(0, maxEvents).map(({ loser, sopInstanceUID, heldBy }) => ({ tenantId, studyInstanceUID: loser, sopInstanceUID, at,
    eventId: `${loser}-${sopInstanceUID}-held-by-${heldBy}`, actor: by, action: 'instance.conflict', detail: `Study ${heldBy} holds this SOP Instance UID by an earlier commit.` })));
  for (const { loser, sopInstanceUID, heldBy } of yields) {
    await deps.archive.addChoice({ tenantId, studyInstanceUID: loser, sopInstanceUID, decision: { heldBy }, by, why, at }, signal);
  }
  // The index may also show what a study gave up before, when a worker died between its choice and its documents.
  const stale = others.filter(({ studyInstanceUID: other, sopInstanceUID }) => !claims.get(other)?.has(sopInstanceUID));
  const rewrites = new Set([...stale.map((holder) => holder.studyInstanceUID), ...yields.map(({ loser }) => loser)].filter((each) => each !== studyInstanceUID));
  for (const other of rewrites) await deps.rewrite({ tenantId, studyInstanceUID: other });
  const own = yields.filter(({ loser }) => loser === studyInstanceUID).length;
  return { own, others: yields.length - own };
}

interface Yield { readonly loser: string; readonly sopInstanceUID: string; readonly heldBy: string }

/** What a study holds by the archive: the index may say that it holds what it does not hold any more. */
function claimsOf(packs: readonly PackIndex[]): ReadonlyMap<string, Holder> {
  const chosenAt = new Map(packs.flatMap(({ instances }) => instances.flatMap(({ sopInstanceUID, choice }) => (choice ? [[sopInstanceUID, choice.at] as const] : []))));
  return new Map(resolveStudy(packs).current.map(({ sopInstanceUID, packId, committedAt }) => {
    const at = chosenAt.get(sopInstanceUID);
    return [sopInstanceUID, { studyInstanceUID: packs[0]!.studyInstanceUID, packId, committedAt, ...(at === undefined ? {} : { chosenAt: at }) }];
  }));
}

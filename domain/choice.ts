import type { PackIndex } from './pack.ts';

/**
 * Which instance of a SOP Instance UID counts in a study, where the first commit should not or several studies hold it. One object
 * in the archive, written once; numbered from 1 without gaps in its study, and of one SOP Instance UID the latest counts.
 */
export interface StudyChoice {
  readonly formatVersion: 1;
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly number: number;
  readonly sopInstanceUID: string;
  /** This instance is current, whatever the commit said; or another study holds it, and none of this study is current. */
  readonly decision: { readonly packId: string; readonly sha256: string } | { readonly heldBy: string };
  /** A token's subject; `flow` or `sweep` where two studies held the UID, and the first commit keeps it. */
  readonly by: string;
  readonly why: string;
  /** ISO 8601 UTC. */
  readonly at: string;
}

export const isByPerson = ({ by }: StudyChoice): boolean => by !== 'flow' && by !== 'sweep';

export type ChoiceDraft = Omit<StudyChoice, 'formatVersion' | 'number'>;

/** The choice that counts for each SOP Instance UID. */
export const latestChoices = (choices: readonly StudyChoice[]): ReadonlyMap<string, StudyChoice> =>
  new Map(choices.toSorted((a, b) => a.number - b.number).map((choice) => [choice.sopInstanceUID, choice]));

/** Whether a choice says again what counts already: it is not written twice. */
export const isSameDecision = (known: StudyChoice | undefined, draft: ChoiceDraft): boolean =>
  known !== undefined && JSON.stringify(decisionOf(known)) === JSON.stringify(decisionOf(draft));

const decisionOf = ({ decision }: Pick<StudyChoice, 'decision'>): readonly string[] =>
  'heldBy' in decision ? [decision.heldBy] : [decision.packId, decision.sha256];

/** Lays a study's choices over its pack indexes: each instance has the choice that counts for its UID. */
export function withChoices(packs: readonly PackIndex[], choices: readonly StudyChoice[]): readonly PackIndex[] {
  if (choices.length === 0) return packs;
  const latest = latestChoices(choices);
  return packs.map((pack) => ({ ...pack, instances: pack.instances.map((instance) => {
    const choice = latest.get(instance.sopInstanceUID);
    return choice ? { ...instance, choice } : instance;
  }) }));
}

/**
 * The version of a study's documents: how many packs and choices they were built from. Both are written once, so it only grows
 * and names the state.
 */
export const studyVersion = (packs: readonly PackIndex[]): number =>
  packs.length + packs.reduce((latest, { instances }) => instances.reduce((most, { choice }) => Math.max(most, choice?.number ?? 0), latest), 0);

import type { DicomJson, JsonAttribute } from '../dicom/json.ts';
import { isByPerson } from './choice.ts';
import { instanceLevel, isEmpty, seriesLevel, studyLevel, textOf, type IndexedAttribute } from './indexedAttributes.ts';
import type { IndexedInstance, InstanceLocationFields } from './instance.ts';
import type { PackIndex } from './pack.ts';

/** The documents of one study at the three levels: what the index holds of it. */
export interface StudyDocuments {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly study: LevelDocument & { readonly summary: StudySummary };
  readonly series: readonly (LevelDocument & { readonly seriesInstanceUID: string })[];
  readonly instances: readonly (LevelDocument & InstanceLocationFields)[];
}

/** `attributes` is what QIDO-RS and C-FIND match and return at this level, levels above included. */
export interface LevelDocument {
  readonly attributes: DicomJson;
}

/** What a study's packs hold in all. */
export interface StudySummary {
  readonly seriesCount: number;
  /** Current instances. */
  readonly instanceCount: number;
  readonly quarantinedCount: number;
  readonly duplicateCount: number;
  readonly conflictCount: number;
}

/** An instance that does not count as current, with the pack that holds its bytes. */
export interface SetAside extends Omit<IndexedInstance, 'attributes'> {
  readonly packId: string;
  readonly seriesInstanceUID: string;
  readonly committedAt: string;
}

/** The packs of a study resolved: which instance of each SOP Instance UID is current, and what stands beside it. */
export interface ResolvedStudy {
  readonly current: readonly CurrentInstance[];
  readonly setAside: readonly SetAside[];
}
export type CurrentInstance = InstanceLocationFields & { readonly attributes: DicomJson };

/** The order in which packs count: by commit, ties by content. */
export const inCommitOrder = (packs: readonly PackIndex[]): readonly PackIndex[] =>
  packs.toSorted((a, b) => compare(a.committedAt, b.committedAt) || compare(a.packId, b.packId));

/**
 * Decides from the pack indexes of one study alone: the first commit of a SOP Instance UID is current, the same bytes
 * again are a duplicate, other bytes or another series a conflict. A verdict that the commit recorded stands, so
 * that a clock set back changes no earlier decision: an instance committed as a conflict or a duplicate becomes current only
 * when no pack has it as accepted, and a conflict with another study never does. A choice (domain/choice.ts) goes before all that,
 * but makes nothing current that is quarantined.
 */
export function resolveStudy(packs: readonly PackIndex[]): ResolvedStudy {
  const current = new Map<string, CurrentInstance>();
  const setAside: SetAside[] = [];
  const ordered = inCommitOrder(packs).flatMap((pack) => pack.instances.map((instance) => ({ pack, instance })));
  const chosen = ordered.filter(isChosen);
  const accepted = ordered.filter((entry) => !isChosen(entry) && entry.instance.verdict === 'accepted');
  const others = ordered.filter((entry) => !isChosen(entry) && entry.instance.verdict !== 'accepted');
  for (const entry of [...chosen, ...accepted, ...others]) {
    const { pack, instance } = entry;
    const first = current.get(instance.sopInstanceUID);
    const elsewhere = instance.conflictsWith && instance.conflictsWith.studyInstanceUID !== pack.studyInstanceUID && !isChosen(entry);
    const held = heldElsewhere(instance);
    if (instance.verdict === 'quarantined') setAside.push(asideOf(entry, instance.verdict, instance.reason));
    else if (held !== undefined) setAside.push(asideOf(entry, 'conflict', held));
    else if (elsewhere) setAside.push(asideOf(entry, instance.verdict, instance.reason));
    else if (!first) current.set(instance.sopInstanceUID, currentOf(entry));
    else setAside.push(besideCurrent(entry, first));
  }
  return { current: [...current.values()], setAside };
}

/** Builds the three levels of documents. A pure function of the packs: a rebuild gives the same. */
export function buildStudyDocuments(packs: readonly PackIndex[]): StudyDocuments {
  const [first] = packs;
  if (!first) throw new RangeError('Study documents need at least one pack index');
  const { current, setAside } = resolveStudy(packs);
  const bySeries = Map.groupBy(current, (instance) => instance.seriesInstanceUID);
  const countOf = (verdict: string) => setAside.filter((instance) => instance.verdict === verdict).length;
  const study = studyAttributes(current, bySeries.size);
  return {
    tenantId: first.tenantId,
    studyInstanceUID: first.studyInstanceUID,
    study: {
      attributes: study,
      summary: { seriesCount: bySeries.size, instanceCount: current.length, quarantinedCount: countOf('quarantined'),
        duplicateCount: countOf('duplicate'), conflictCount: countOf('conflict') },
    },
    series: [...bySeries].map(([seriesInstanceUID, instances]) => ({
      seriesInstanceUID,
      attributes: sorted({ ...study, ...firstValues(seriesLevel, instances), ...count('00201209', instances.length) }),
    })),
    instances: current.map((instance) => ({ ...instance, attributes: instanceAttributes(instance) })),
  };
}

function studyAttributes(current: readonly CurrentInstance[], seriesCount: number): DicomJson {
  return sorted({
    ...firstValues(studyLevel, current),
    ...list('00080061', 'CS', current.map(({ attributes }) => textOf(attributes, '00080060'))),
    ...list('00080062', 'UI', current.map(({ sopClassUID }) => sopClassUID)),
    ...count('00201206', seriesCount),
    ...count('00201208', current.length),
  });
}

/** An instance's document follows from its own header alone, so a new pack never rewrites another's documents. */
function instanceAttributes(instance: CurrentInstance): DicomJson {
  const own = [...studyLevel, ...seriesLevel, ...instanceLevel];
  return sorted({ ...firstValues(own, [instance]), ...list('00083002', 'UI', [instance.transferSyntaxUID]) });
}

/** For each attribute the first value that is not empty, in commit order; an attribute that is always empty stays so. */
function firstValues(level: readonly IndexedAttribute[], instances: readonly CurrentInstance[]): Record<string, JsonAttribute> {
  const values: Record<string, JsonAttribute> = {};
  for (const { tag } of level) {
    const holder = instances.find(({ attributes }) => !isEmpty(attributes[tag])) ?? instances.find(({ attributes }) => attributes[tag]);
    if (holder) values[tag] = holder.attributes[tag]!;
  }
  return values;
}

type Entry = { readonly pack: PackIndex; readonly instance: IndexedInstance };

function isChosen({ pack, instance }: Entry): boolean {
  const decision = instance.choice?.decision;
  return instance.verdict !== 'quarantined' && decision !== undefined && 'packId' in decision && decision.packId === pack.packId && decision.sha256 === instance.sha256;
}

/** Why no instance of this study is current under the UID: another study holds it. */
function heldElsewhere({ choice }: IndexedInstance): string | undefined {
  if (!choice || !('heldBy' in choice.decision)) return undefined;
  const { heldBy } = choice.decision;
  return isByPerson(choice) ? `Study ${heldBy} was chosen to hold this SOP Instance UID.` : `This SOP Instance UID was archived before in study ${heldBy}; the first stays current.`;
}

const currentOf = ({ pack, instance }: Entry): CurrentInstance => ({
  sopInstanceUID: instance.sopInstanceUID, sopClassUID: instance.sopClassUID, transferSyntaxUID: instance.transferSyntaxUID,
  offsetBytes: instance.offsetBytes, lengthBytes: instance.lengthBytes, sha256: instance.sha256,
  seriesInstanceUID: pack.seriesInstanceUID, packId: pack.packId, committedAt: pack.committedAt, attributes: instance.attributes,
});

function asideOf({ pack, instance }: Entry, verdict: SetAside['verdict'], reason: string | undefined): SetAside {
  const { attributes: _, reason: __, ...rest } = instance;
  return { ...rest, verdict, ...(reason === undefined ? {} : { reason }), packId: pack.packId,
    seriesInstanceUID: pack.seriesInstanceUID, committedAt: pack.committedAt };
}

function besideCurrent(entry: Entry, first: CurrentInstance): SetAside {
  const { pack, instance } = entry;
  const same = first.sha256 === instance.sha256 && first.seriesInstanceUID === pack.seriesInstanceUID;
  return same ? asideOf(entry, 'duplicate', duplicateReason) : asideOf(entry, 'conflict', chosenReason(entry.instance) ?? conflictReason(first, entry));
}

const chosenReason = ({ choice }: IndexedInstance): string | undefined =>
  choice && 'packId' in choice.decision ? `The instance in pack ${choice.decision.packId.slice(0, 12)} was chosen as current.` : undefined;
export const duplicateReason = 'The same bytes were archived before; the first copy stays current.';
const conflictReason = (first: CurrentInstance, { pack }: Entry): string =>
  first.seriesInstanceUID === pack.seriesInstanceUID
    ? 'Other bytes were archived before under this SOP Instance UID; the first stays current.'
    : `This SOP Instance UID was archived before in series ${first.seriesInstanceUID}; the first stays current.`;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const sorted = (attributes: Record<string, JsonAttribute>): DicomJson =>
  Object.fromEntries(Object.entries(attributes).toSorted(([a], [b]) => compare(a, b)));
const count = (tag: string, value: number): Record<string, JsonAttribute> => ({ [tag]: { vr: 'IS', Value: [value] } });
const list = (tag: string, vr: string, values: readonly (string | undefined)[]): Record<string, JsonAttribute> => {
  const unique = [...new Set(values.filter((value) => value !== undefined))].toSorted(compare);
  return { [tag]: unique.length ? { vr, Value: unique } : { vr } };
};

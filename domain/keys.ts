import type { PackIdentity } from './pack.ts';
import type { Warrant } from './removal.ts';

/** The four index names of OpenSearch. */
export const indexNames = {
  studies: 'pacs-studies', series: 'pacs-series', instances: 'pacs-instances', audit: 'pacs-audit',
} as const;

const packSuffixes = { tar: '.tar', headers: '.headers.json.gz', index: '.index.json.gz' } as const;
export type PackPart = keyof typeof packSuffixes;

export const tenantPrefix = (tenantId: string): string => `tenants/${tenantId}/`;
export const studyPrefix = (tenantId: string, studyInstanceUID: string): string =>
  `${tenantPrefix(tenantId)}studies/${studyInstanceUID}/`;

/** `tenants/<tenantId>/studies/<StudyInstanceUID>/<SeriesInstanceUID>/<packId>.tar` and its two neighbours. */
export const packKey = (pack: PackIdentity, part: PackPart): string =>
  `${packStem(pack)}${packSuffixes[part]}`;
/** What the keys of everything of a pack begin with, up to a dot. */
export const packStem = (pack: PackIdentity): string =>
  `${studyPrefix(pack.tenantId, pack.studyInstanceUID)}${pack.seriesInstanceUID}/${pack.packId}`;

const packKeyPattern =
  /^tenants\/([a-z0-9-]+)\/studies\/([0-9.]{1,64})\/([0-9.]{1,64})\/([0-9a-f]{64})(\.tar|\.headers\.json\.gz|\.index\.json\.gz)$/;

/** @returns undefined when the key is no pack's. */
export function parsePackKey(key: string): (PackIdentity & { readonly part: PackPart }) | undefined {
  const match = packKeyPattern.exec(key);
  if (!match) return undefined;
  const [, tenantId, studyInstanceUID, seriesInstanceUID, packId, suffix] = match as unknown as readonly [string, string, string, string, string, string];
  const part = (Object.keys(packSuffixes) as PackPart[]).find((name) => packSuffixes[name] === suffix);
  return part && { tenantId, studyInstanceUID, seriesInstanceUID, packId, part };
}

/** Beside a pack, while a sweep removes it: `<packId>.removal-<seconds>-<id>`. */
export const warrantKey = (pack: PackIdentity, { id, windowMs }: Warrant): string => `${packStem(pack)}.removal-${windowMs / 1000}-${id}`;

/** @returns undefined when the key is no warrant's */
export function parseWarrantKey(key: string): { readonly pack: PackIdentity; readonly warrant: Warrant } | undefined {
  const [, stem, seconds, id] = /^(.*)\.removal-(\d+)-([0-9a-f-]{36})$/.exec(key) ?? [];
  const pack = stem && id ? parsePackKey(`${stem}${packSuffixes.tar}`) : undefined;
  if (!pack || !id) return undefined;
  const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = pack;
  return { pack: { tenantId, studyInstanceUID, seriesInstanceUID, packId }, warrant: { id, windowMs: Number(seconds) * 1000 } };
}

/** `tenants/<tenantId>/studies/<StudyInstanceUID>/choices/<number, eight digits>.json.gz`: which instance is current. No UID is named `choices`. */
export const choiceKey = (tenantId: string, studyInstanceUID: string, number: number): string =>
  `${studyPrefix(tenantId, studyInstanceUID)}choices/${String(number).padStart(8, '0')}.json.gz`;

/** @returns undefined when the key is no choice's */
export function parseChoiceKey(key: string): { readonly tenantId: string; readonly studyInstanceUID: string; readonly number: number } | undefined {
  const [, tenantId, studyInstanceUID, number] = /^tenants\/([a-z0-9-]+)\/studies\/([0-9.]{1,64})\/choices\/(\d{8})\.json\.gz$/.exec(key) ?? [];
  return tenantId && studyInstanceUID ? { tenantId, studyInstanceUID, number: Number(number) } : undefined;
}

/** The tenant's configuration: gateways, destinations, routing rules. */
export const tenantConfigKey = (tenantId: string): string => `${tenantPrefix(tenantId)}config/tenant.json`;

/** One audit event, one object, one line. Sorted by time within a day. */
export const auditKey = (tenantId: string, event: { readonly at: string; readonly eventId: string }): string =>
  `${auditPrefix(tenantId)}${event.at.slice(0, 10)}/${event.at}-${event.eventId}.json`;
export const auditPrefix = (tenantId: string): string => `${tenantPrefix(tenantId)}audit/`;
/** Events that the index is yet to take, again: one object for each time that it did not. */
export const unindexedAuditPrefix = (tenantId: string): string => `${tenantPrefix(tenantId)}audit-unindexed/`;

/** The delivery ledger of one study at one destination. */
export const deliveryKey = (tenantId: string, destinationId: string, studyInstanceUID: string): string =>
  `${tenantPrefix(tenantId)}deliveries/${destinationId}/${studyInstanceUID}.json`;
export const deliveryPrefix = (tenantId: string, destinationId: string): string =>
  `${tenantPrefix(tenantId)}deliveries/${destinationId}/`;

/** @returns the study of a ledger's key; undefined when the key is none below this prefix */
export const studyOfDeliveryKey = (prefix: string, key: string): string | undefined =>
  key.startsWith(prefix) ? /^([0-9.]{1,64})\.json$/.exec(key.slice(prefix.length))?.[1] : undefined;

/** Whether a destination's circuit is open. */
export const circuitKey = (tenantId: string, destinationId: string): string => `${tenantPrefix(tenantId)}circuits/${destinationId}.json`;

/** A transaction of storage commitment. */
export const commitmentKey = (tenantId: string, gatewayId: string, transactionUID: string): string =>
  `${tenantPrefix(tenantId)}commitments/${gatewayId}/${transactionUID}.json`;

/** Entry name inside a pack's tar. */
export const entryName = (sopInstanceUID: string): string => `${sopInstanceUID}.dcm`;

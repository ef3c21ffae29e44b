import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { packKey, packStem, parsePackKey, parseWarrantKey, tenantPrefix, warrantKey } from '../../domain/keys.ts';
import type { PackIdentity } from '../../domain/pack.ts';
import type { PackStanding } from '../../domain/removal.ts';
import { inContext, statusOf } from '../errors.ts';
import type { OpenUpload, OrphanStore } from '../ports.ts';
import type { Bucket } from './s3.ts';
import { abortable, listObjects, noteDate, removeObject, writeObject, type ListedObject } from './s3Objects.ts';
import { deleteUntil } from './signedDelete.ts';

/** What no commit names, in S3. Errors are StoreError with tenant and key, or an AbortError after cancellation. */
export function createOrphanStore(bucket: Bucket): OrphanStore {
  return {
    listOrphans(tenantId, page, signal) {
      const prefix = `${tenantPrefix(tenantId)}studies/`;
      return inContext('Listing packs', { tenantId, key: prefix }, async () => {
        const { at, objects, next } = await listObjects(bucket, prefix, page, signal);
        const groups = Map.groupBy(objects.filter(({ key }) => packOf(key)), ({ key }) => packStem(packOf(key)!));
        const packs = [...groups.values()].map((group) => standingOf(packOf(group[0]!.key)!, at, group));
        return { packs: packs.filter(({ index, warrants }) => !index || warrants.length > 0), next };
      }, signal);
    },
    putWarrant(pack, warrant, signal) {
      const at = { tenantId: pack.tenantId, key: warrantKey(pack, warrant) };
      return inContext('Writing a warrant', at, async () => {
        await writeObject(bucket, at.key, Buffer.alloc(0), 'new', { contentType: 'application/octet-stream', signal });
      }, signal);
    },
    removeWarrant(pack, warrant, signal) {
      const at = { tenantId: pack.tenantId, key: warrantKey(pack, warrant) };
      return inContext('Removing a warrant', at, () => removeObject(bucket, at.key, signal), signal);
    },
    removePart(pack, part, now, until, signal) {
      const at = { tenantId: pack.tenantId, key: packKey(pack, part) };
      return inContext('Removing an orphan', at, () => deleteUntil(bucket, at.key, now, until, signal), signal);
    },
    async *listUploads(tenantId, signal) {
      const prefix = tenantPrefix(tenantId);
      let markers: Markers | undefined = {};
      while (markers) {
        const from: Markers = markers;
        const page: { readonly uploads: readonly OpenUpload[]; readonly next: Markers | undefined } = await inContext('Listing uploads', { tenantId, key: prefix }, () => uploadsFrom(bucket, prefix, from, signal), signal);
        yield* page.uploads;
        markers = page.next;
      }
    },
    abortUpload(tenantId, { key, uploadId }, signal) {
      return inContext('Aborting an upload', { tenantId, key }, () => abortUpload(bucket, key, uploadId, signal), signal);
    },
  };
}

interface Markers { readonly KeyMarker?: string; readonly UploadIdMarker?: string }

function packOf(key: string): PackIdentity | undefined {
  const found = parsePackKey(key) ?? parseWarrantKey(key)?.pack;
  return found && { tenantId: found.tenantId, studyInstanceUID: found.studyInstanceUID, seriesInstanceUID: found.seriesInstanceUID, packId: found.packId };
}

/** @param objects those of one pack */
export function standingOf(pack: PackIdentity, at: Date, objects: readonly ListedObject[]): PackStanding {
  const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = pack;
  const parts = objects.map(({ key, lengthBytes, writtenAt }) => ({ part: parsePackKey(key)?.part, warrant: parseWarrantKey(key)?.warrant, lengthBytes, writtenAt }));
  return {
    tenantId, studyInstanceUID, seriesInstanceUID, packId, at,
    ...Object.fromEntries(parts.flatMap(({ part, lengthBytes, writtenAt }) => (part ? [[part, { lengthBytes, writtenAt }]] : []))),
    warrants: parts.flatMap(({ warrant, writtenAt }) => (warrant ? [{ ...warrant, writtenAt }] : [])),
  };
}

/** Markers go back as they came: SeaweedFS 4.48 gives one of an upload alone, and takes it so. */
async function uploadsFrom({ s3, bucket }: Bucket, prefix: string, markers: Markers, signal: AbortSignal | undefined) {
  const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...markers });
  const dated = noteDate(command);
  const { Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = await s3.send(command, abortable(signal));
  const uploads = Uploads.flatMap(({ Key, UploadId, Initiated }): OpenUpload[] =>
    (Key && UploadId && Initiated ? [{ key: Key, uploadId: UploadId, ageMs: dated().getTime() - Initiated.getTime() }] : []));
  const next = { ...(NextKeyMarker ? { KeyMarker: NextKeyMarker } : {}), ...(NextUploadIdMarker ? { UploadIdMarker: NextUploadIdMarker } : {}) };
  return { uploads, next: IsTruncated && Object.keys(next).length > 0 ? next : undefined };
}

async function abortUpload({ s3, bucket }: Bucket, key: string, uploadId: string, signal: AbortSignal | undefined): Promise<number> {
  const upload = { Bucket: bucket, Key: key, UploadId: uploadId };
  let lengthBytes = 0;
  try {
    for (let marker: string | undefined, more = true; more;) {
      const page = await s3.send(new ListPartsCommand({ ...upload, ...(marker ? { PartNumberMarker: marker } : {}) }), abortable(signal));
      for (const { Size } of page.Parts ?? []) lengthBytes += Size ?? 0;
      marker = page.NextPartNumberMarker;
      more = page.IsTruncated === true && marker !== undefined;
    }
    await s3.send(new AbortMultipartUploadCommand(upload), abortable(signal));
  } catch (error) {
    // Completed or aborted meanwhile.
    if (statusOf(error) === 404) return 0;
    throw error;
  }
  return lengthBytes;
}

import type { Readable } from 'node:stream';
import type { AuditEvent } from '../domain/audit.ts';
import type { Trouble } from '../domain/circuit.ts';
import type { Commitment, CommitmentName, TakenCommitment } from '../domain/commitment.ts';
import type { ChoiceDraft, StudyChoice } from '../domain/choice.ts';
import type { DeliveryLedger } from '../domain/delivery.ts';
import type { PackStanding, Warrant } from '../domain/removal.ts';
import type { IndexDifferences } from '../domain/sweep.ts';
import type { StudyDocuments } from '../domain/documents.ts';
import type { IndexedInstance, InstanceHeader, PackedInstance } from '../domain/instance.ts';
import type { GivenUp, PackIdentity, PackIndex, SpooledPack } from '../domain/pack.ts';
import type { Destination, DicomDestination, TenantConfig } from '../domain/tenant.ts';
import type { DicomJson } from '../dicom/json.ts';
import type { MatchOptions } from '../dicom/matching.ts';
import type { CommitmentReport, CommitmentRequest } from '../dicom/storageCommitment.ts';
import type { LentRange } from './packs/lentBytes.ts';

/** Where an interrupted upload goes on. Heartbeat details of stagePack. */
export interface UploadProgress {
  readonly uploadId: string;
  readonly partsDone: number;
}

/** A local file to upload: read by range, so that a resumed upload starts where the last one stopped. */
export interface PackFile {
  readonly lengthBytes: number;
  /** @param space to read into, when it is long enough and the file has use for it; the bytes are its own then */
  read(offsetBytes: number, lengthBytes: number, space?: Buffer): Promise<Buffer>;
  close(): Promise<void>;
}

/** The packs on a gateway's disk, as the worker that runs beside the gateway sees them. */
export interface PackSpool {
  /** @returns undefined when the disk does not have the pack (any more) */
  open(pack: SpooledPack): Promise<(PackFile & { readonly instances: readonly PackedInstance[] }) | undefined>;
  /** @returns the pack wherever the disk still has it, released or not, its bytes unproven; undefined when it has not */
  find(pack: Pick<SpooledPack, 'packId' | 'associationId'>): Promise<PackFile | undefined>;
  /** The cloud has the pack for good: the disk may forget it. Idempotent. */
  release(pack: SpooledPack): Promise<void>;
  /** A person gave the pack up: the disk keeps it where it is not told any more. Idempotent; a pack gone is no error. */
  setAside(pack: SpooledPack, why: GivenUp): Promise<void>;
}

export interface PutPackOptions {
  readonly resume?: UploadProgress | undefined;
  readonly onProgress?: (progress: UploadProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** `next` is absent on the last page. */
export interface StudyPage {
  readonly studyInstanceUIDs: readonly string[];
  readonly next?: string | undefined;
}

/** Packs in S3 (DESIGN.md, Storage layout). Write-once: the same content again counts as done. */
export interface ArchiveStore {
  /** Multipart above one part; conditional; verified by checksum. @returns whether the object was there already */
  putPack(pack: PackIdentity, file: PackFile, options?: PutPackOptions): Promise<{ readonly existed: boolean }>;
  /**
   * Puts a committed pack's tar in the place of what lies at its key, or lies there no more. The file is read first and compared with the
   * index; what is sent must have the checksums of that reading. Until the server has all of it, what was there stays. Idempotent; two at
   * once write the same bytes.
   *
   * @throws ContentMismatch when the file is not the pack: nothing has changed
   */
  replacePack(index: PackIndex, file: PackFile, options?: PutPackOptions): Promise<void>;
  putHeaders(pack: PackIdentity, headers: readonly InstanceHeader[], signal?: AbortSignal): Promise<void>;
  /** @returns undefined when the pack has no header file */
  getHeaders(pack: PackIdentity, signal?: AbortSignal): Promise<readonly InstanceHeader[] | undefined>;
  /** @returns the size of the pack's tar, undefined when it is not there */
  packLengthBytes(pack: PackIdentity, signal?: AbortSignal): Promise<number | undefined>;
  /** What is there of a pack, by one listing that no cache answers. A listing that took longer than half the margin of removals is made again. */
  look(pack: PackIdentity, signal?: AbortSignal): Promise<PackStanding>;
  /** The commit, If-None-Match: *. @returns the index that counts: the one given, or the one that was there first */
  commitIndex(index: PackIndex, signal?: AbortSignal): Promise<PackIndex>;
  /** Cached: indexes never change. @returns undefined when the pack is not committed */
  getIndex(pack: PackIdentity, signal?: AbortSignal): Promise<PackIndex | undefined>;
  /** Every committed pack of a study, in commit order (committedAt, then packId), with the study's choices laid over. */
  listIndexes(tenantId: string, studyInstanceUID: string, signal?: AbortSignal): Promise<readonly PackIndex[]>;
  /** Writes the next choice of a study, once. @returns the one that counts: an equal decision that counts already is not written again */
  addChoice(draft: ChoiceDraft, signal?: AbortSignal): Promise<StudyChoice>;
  /** Studies that have anything in the archive, committed or not, a page at a time; `cursor` is the `next` of the page before. */
  listStudies(tenantId: string, page: { readonly cursor?: string | undefined; readonly limit: number }, signal?: AbortSignal): Promise<StudyPage>;
  /** A ranged GET of the pack's tar, streamed. Destroying the stream stops the read. */
  readRange(pack: PackIdentity, offsetBytes: number, lengthBytes: number, signal?: AbortSignal): Promise<Readable>;
  /** The same in buffers that are used again, where that costs no request: for bytes that only pass through. @returns undefined when readRange has to be asked */
  lendRange?(pack: PackIdentity, offsetBytes: number, lengthBytes: number): Promise<LentRange | undefined>;
}

/** An upload in parts that nobody completed. */
export interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
  /** How long ago it was begun, by S3's clock. */
  readonly ageMs: number;
}

/** What lies in S3 and no commit names, and how it is removed (domain/removal.ts). */
export interface OrphanStore {
  /** Packs of a page of a tenant's keys that have no index, or a warrant. A pack on two pages may be shown though it is committed: `look` tells. */
  listOrphans(tenantId: string, page: { readonly cursor?: string | undefined; readonly limit: number }, signal?: AbortSignal): Promise<{ readonly packs: readonly PackStanding[]; readonly next: string | undefined }>;
  putWarrant(pack: PackIdentity, warrant: Warrant, signal?: AbortSignal): Promise<void>;
  removeWarrant(pack: PackIdentity, warrant: Warrant, signal?: AbortSignal): Promise<void>;
  /**
   * Deletes tar or headers by a request that S3 refuses later than `until`, whenever it may arrive.
   *
   * @param at S3's time now
   * @returns false when it was refused for that
   */
  removePart(pack: PackIdentity, part: 'tar' | 'headers', at: Date, until: Date, signal?: AbortSignal): Promise<boolean>;
  listUploads(tenantId: string, signal?: AbortSignal): AsyncIterable<OpenUpload>;
  /** Whoever goes on with it begins anew. @returns the bytes that its parts took */
  abortUpload(tenantId: string, upload: OpenUpload, signal?: AbortSignal): Promise<number>;
}

/** Where the index says an instance's bytes lie. */
export interface InstanceLocation extends Omit<IndexedInstance, 'attributes'>, PackIdentity {}

/** A study that holds an instance as current, and the commit that brought it. */
export type InstanceHolder = Pick<InstanceLocation, 'sopInstanceUID' | 'studyInstanceUID' | 'packId'> & { readonly committedAt: string };

export type QueryLevel = 'studies' | 'series' | 'instances';

/** One matching key: tag path (`00100010`, or `00400275.00400009` for an attribute in a sequence) and the value as asked. */
export interface MatchKey {
  readonly path: readonly string[];
  /** One value, or several of a UID list; wild cards and ranges as PS3.4 C.2.2.2 has them. Never empty (= universal). */
  readonly values: readonly string[];
}

export interface SearchRequest {
  readonly tenantId: string;
  readonly level: QueryLevel;
  readonly studyInstanceUID?: string;
  readonly seriesInstanceUID?: string;
  readonly match: readonly MatchKey[];
  readonly options?: MatchOptions;
  readonly limit: number;
  readonly offset: number;
  /** Who pages: a page goes on behind the last result of the page before it that this reader was given, whatever arrived meanwhile. */
  readonly reader?: string;
}

export interface SearchResult {
  /** Attributes of the level and the levels above it, each a document's `attributes`. */
  readonly matches: readonly DicomJson[];
  /** How many match in all. */
  readonly total: number;
}

/** Attribute whose VR or level cannot be matched; the API answers 400 with its sentence. */
export class UnsupportedMatch extends Error {
  override readonly name = 'UnsupportedMatch';
}

/** Study, series and instance documents in OpenSearch. Every search filters on tenantId here. */
export interface StudyIndex {
  /**
   * Writes the documents it is given, and removes none: `instances` may be those of some packs only. `version` is
   * external and monotonic (`studyVersion`): an older one changes nothing, an equal one
   * writes the same again.
   *
   * @param visible `together`, the default: searches see a study no sooner than its series and instances, for which this waits up to
   * a second; `apart`: each level when its index refreshes, for writing many studies one after the other
   */
  write(documents: StudyDocuments, version: number, visible?: 'together' | 'apart'): Promise<void>;
  /**
   * Makes the documents of a study be these and no others: writes them all, as `write` does, and removes what the index has of the study beside them.
   *
   * @returns how many were removed
   */
  replace(documents: StudyDocuments, version: number, signal?: AbortSignal): Promise<{ readonly removedCount: number }>;
  /**
   * Counts how what the index has of a study differs from its documents; undefined: the archive has no such study, and all is foreign.
   * Refreshes first.
   */
  compare(tenantId: string, studyInstanceUID: string, documents: StudyDocuments | undefined, version: number, signal?: AbortSignal): Promise<IndexDifferences>;
  /** Studies that the index has any document of, a page at a time; `cursor` is the `next` of the page before. */
  listStudies(tenantId: string, page: { readonly cursor?: string | undefined; readonly limit: number }): Promise<StudyPage>;
  /** Removes every document of a study that the archive does not have. A document written meanwhile stays. */
  forgetStudy(tenantId: string, studyInstanceUID: string, signal?: AbortSignal): Promise<void>;
  /**
   * Removes every study, series and instance document of a tenant, page by page; a document written again later is taken at
   * the version it had.
   *
   * @returns how many were removed
   */
  forgetTenant(tenantId: string, signal?: AbortSignal): Promise<number>;
  /** The version the study's document has, 0 when there is none. Real time. */
  version(tenantId: string, studyInstanceUID: string): Promise<number>;
  search(request: SearchRequest): Promise<SearchResult>;
  /** What series and their studies hold in all (`countedTags`), by Series Instance UID. Real time. */
  countsOf(tenantId: string, series: readonly { readonly studyInstanceUID: string; readonly seriesInstanceUID: string }[]): Promise<ReadonlyMap<string, DicomJson>>;
  /** Everything a search finds, in its order, page by page; documents written meanwhile neither repeat nor hide others. Memory: one page. */
  stream(request: Omit<SearchRequest, 'limit' | 'offset'>): AsyncIterable<DicomJson>;
  /** Locations of current instances of a study, series or instance, ordered by series, instance number, UID. */
  locate(tenantId: string, scope: { readonly studyInstanceUID: string; readonly seriesInstanceUID?: string; readonly sopInstanceUID?: string }): AsyncIterable<InstanceLocation>;
  /**
   * Every study that holds one of these instances as current, in commit order.
   *
   * @param sees `everything` refreshes first; `searchable` may miss what was written within the last second
   */
  findHolders(tenantId: string, sopInstanceUIDs: readonly string[], sees: 'everything' | 'searchable'): Promise<readonly InstanceHolder[]>;
}

/** Append-only history: S3 first, then the index that searches it. */
export interface AuditLog {
  /** Idempotent by eventId. What the index does not take stays for `catchUp`: nothing that writes history waits for the index. */
  record(events: readonly AuditEvent[]): Promise<void>;
  /** Indexes what `record` could not. Idempotent. @returns how many events */
  catchUp(tenantId: string): Promise<number>;
  /** In order of time. */
  history(tenantId: string, studyInstanceUID: string, page: { readonly limit: number; readonly offset: number }): Promise<{ readonly events: readonly AuditEvent[]; readonly total: number }>;
}

/** A value with the ETag that guards its replacement. */
export interface Versioned<T> { readonly value: T; readonly etag: string | undefined }

/** Somebody else replaced the object since it was read: read again and retry. */
export class VersionConflict extends Error {
  override readonly name = 'VersionConflict';
}

export interface TenantStore {
  /** @returns undefined when the tenant does not exist */
  get(tenantId: string): Promise<Versioned<TenantConfig> | undefined>;
  /** @throws VersionConflict when the stored object is not the one of `etag` (undefined: must not exist) */
  put(config: TenantConfig, etag: string | undefined): Promise<void>;
}

export interface DeliveryStore {
  /** @returns an empty ledger without etag when nothing was ever sent */
  get(tenantId: string, destinationId: string, studyInstanceUID: string): Promise<Versioned<DeliveryLedger>>;
  /** @throws VersionConflict */
  put(ledger: DeliveryLedger, etag: string | undefined): Promise<string>;
  /** Studies that have a ledger at a destination, a page at a time; `cursor` is the `next` of the page before. */
  list(tenantId: string, destinationId: string, page: { readonly cursor?: string | undefined; readonly limit: number }, signal?: AbortSignal): Promise<StudyPage>;
}

/** Transactions of storage commitment, each with what the archive said of its references. */
export interface CommitmentStore {
  get(name: CommitmentName): Promise<Versioned<Commitment> | undefined>;
  /** @throws VersionConflict */
  put(commitment: Commitment, etag: string | undefined): Promise<string>;
}

/** Requests of storage commitment on a gateway's disk, as the worker that runs beside the gateway sees them. */
export interface CommitmentDesk {
  /** @returns undefined when the disk does not have the request (any more) */
  read(transactionUID: string): Promise<TakenCommitment | undefined>;
  /**
   * Has the gateway tell the requestor on the association that brought the request, when that is still open.
   *
   * @returns the status that the requestor answered; undefined when it was not told, or did not answer
   */
  tellOnItsAssociation(report: CommitmentReport, signal: AbortSignal): Promise<number | undefined>;
  /** Which of these instances the gateway's spool holds and the cloud has not released yet. */
  findWaiting(sopInstanceUIDs: ReadonlySet<string>): Promise<ReadonlySet<string>>;
  /** The requestor was told, or a person gave it up: the disk may forget the request. Idempotent. */
  remove(transactionUID: string): Promise<void>;
}

/** Asks DICOM destinations whether they commit themselves to keep instances, as SCU (PS3.4 Annex J). */
export interface CommitmentAsker {
  /**
   * Asks once for each Transaction UID, then looks whether a report came.
   *
   * @returns without a report when there is none yet
   * @throws DestinationUnavailable when it could not be asked, or refused to be
   */
  ask(destination: DicomDestination, request: CommitmentRequest, signal: AbortSignal): Promise<{ readonly askedAt: string; readonly report?: CommitmentReport }>;
  /** The report was written down. Idempotent. */
  forget(transactionUID: string): Promise<void>;
}

/** Tells a requestor on an association of ours (PS3.4 J.3.3). @returns the status it answered @throws DestinationUnavailable */
export type Reporter = (requestor: DicomDestination, report: CommitmentReport, signal: AbortSignal) => Promise<number>;

/** One instance on its way to a destination. */
export interface InstanceToSend extends Pick<PackedInstance, 'sopInstanceUID' | 'sopClassUID' | 'transferSyntaxUID' | 'lengthBytes'> {
  /** The Part 10 file, from the archive. */
  open(): Promise<Readable>;
}

/** What the destination said of one instance. */
export interface SendResult {
  readonly sopInstanceUID: string;
  /** `later`: the destination asked to send again (A7xx, 503); `refused`: sending again does not help. */
  readonly outcome: 'delivered' | 'later' | 'refused';
  readonly status?: number;
  readonly problem?: string;
  /** The transfer syntax it was sent in, when that is not the stored one. */
  readonly sentAs?: string;
}

/** Sends instances to one kind of destination. What was yielded before it throws stands. @throws DestinationUnavailable */
export interface Sender<D extends Destination = Destination> {
  /** @param originator set when the instances are sub-operations of a C-MOVE */
  send(destination: D, instances: readonly InstanceToSend[], signal: AbortSignal, originator?: { readonly aeTitle: string; readonly messageID: number }): AsyncIterable<SendResult>;
}

/** Asks a destination whether it is there. @throws when it does not answer as it should */
export type Probe<D extends Destination = Destination> = (destination: D, signal: AbortSignal) => Promise<void>;

/** The destination is away, busy or broken: send again, not before `retryAfterMs` when it said so. */
export class DestinationUnavailable extends Error {
  override readonly name = 'DestinationUnavailable';
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly status?: number | undefined; readonly retryAfterMs?: number | undefined }) {
    super(message, options);
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Which destinations are known to be away, for every worker to see before it sends. */
export interface CircuitStore {
  /** @returns undefined when the circuit is closed */
  get(tenantId: string, destinationId: string): Promise<Trouble | undefined>;
  /** @param open undefined closes it */
  set(tenantId: string, destinationId: string, open: Trouble | undefined): Promise<void>;
}

/**
 * Which instances of some series a destination says it holds: what it was sent is there only when it lists it itself.
 *
 * @throws DestinationUnavailable also when it does not search: nothing is known then
 */
export type ReadBack<D extends Destination = Destination> =
  (destination: D, study: { readonly studyInstanceUID: string; readonly seriesInstanceUIDs: readonly string[] }, signal: AbortSignal) => Promise<ReadonlySet<string>>;

import { Readable } from 'node:stream';
import type { AuditEvent } from '../../domain/audit.ts';
import type { Trouble } from '../../domain/circuit.ts';
import type { Commitment, CommitmentName } from '../../domain/commitment.ts';
import type { DeliveryLedger } from '../../domain/delivery.ts';
import { isSameDecision, latestChoices, withChoices, type ChoiceDraft, type StudyChoice } from '../../domain/choice.ts';
import { inCommitOrder } from '../../domain/documents.ts';
import type { InstanceHeader } from '../../domain/instance.ts';
import {
  choiceKey, commitmentKey, deliveryKey, deliveryPrefix, packKey, packStem, parseChoiceKey, parseWarrantKey, studyOfDeliveryKey, studyPrefix, tenantPrefix, type PackPart,
} from '../../domain/keys.ts';
import type { PackIdentity, PackIndex } from '../../domain/pack.ts';
import type { PackStanding } from '../../domain/removal.ts';
import type { TenantConfig } from '../../domain/tenant.ts';
import { emptyLedger } from '../s3/deliveryStore.ts';
import { ContentMismatch, StoreError } from '../errors.ts';
import {
  VersionConflict, type ArchiveStore, type AuditLog, type CircuitStore, type CommitmentStore, type DeliveryStore, type PackFile, type PutPackOptions, type StudyPage, type TenantStore, type Versioned,
} from '../ports.ts';
import { provePack } from '../packs/packProof.ts';
import { isTenantId } from '../../domain/tenant.ts';
import { parseTenantConfig } from '../s3/tenantStore.ts';

/** Stores that keep everything in memory, for tests: they pass the suites of the real ones (test/stores/). */

const copy = <T>(value: T): T => structuredClone(value);

export class MemoryArchive implements ArchiveStore {
  readonly packs = new Map<string, Buffer>();
  readonly headers = new Map<string, readonly InstanceHeader[]>();
  readonly indexes = new Map<string, PackIndex>();
  readonly choices = new Map<string, StudyChoice>();
  /** Unfinished uploads: parts by number. */
  readonly uploads = new Map<string, Map<number, Buffer>>();
  /** When each object was written, by key. */
  readonly writtenAt = new Map<string, Date>();
  readonly warrants = new Map<string, Date>();
  partsWritten = 0;
  readonly now: () => Date;
  readonly #partBytes: number;

  constructor({ partBytes = 16 * 1024 * 1024, now = () => new Date() }: { readonly partBytes?: number; readonly now?: () => Date } = {}) {
    this.#partBytes = partBytes;
    this.now = now;
  }

  async putPack(pack: PackIdentity, file: PackFile, options: PutPackOptions = {}): Promise<{ readonly existed: boolean }> {
    const key = packKey(pack, 'tar');
    const existing = this.packs.get(key);
    if (existing && existing.length !== file.lengthBytes) throw new ContentMismatch('Other bytes lie here', { tenantId: pack.tenantId, key });
    if (existing) return { existed: true };
    const resumed = options.resume && this.uploads.get(options.resume.uploadId);
    const uploadId = options.resume && resumed ? options.resume.uploadId : `upload-${this.uploads.size + 1}`;
    const parts = resumed ?? new Map<number, Buffer>();
    this.uploads.set(uploadId, parts);
    const count = Math.ceil(file.lengthBytes / this.#partBytes);
    for (let number = 1; number <= count; number++) {
      if (parts.has(number)) continue;
      options.signal?.throwIfAborted();
      const offset = (number - 1) * this.#partBytes;
      const lengthBytes = Math.min(this.#partBytes, file.lengthBytes - offset);
      const part = await file.read(offset, lengthBytes);
      if (part.length !== lengthBytes) throw new ContentMismatch('The file ends early', { tenantId: pack.tenantId, key });
      parts.set(number, Buffer.from(part));
      this.partsWritten++;
      options.onProgress?.({ uploadId, partsDone: number });
    }
    this.packs.set(key, Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, part]) => part)));
    this.writtenAt.set(key, this.now());
    this.uploads.delete(uploadId);
    return { existed: false };
  }

  async replacePack(index: PackIndex, file: PackFile, options: PutPackOptions = {}): Promise<void> {
    await provePack(file, index, [{ lengthBytes: file.lengthBytes }], options.signal);
    this.packs.set(packKey(index, 'tar'), Buffer.from(await file.read(0, file.lengthBytes)));
  }

  async putHeaders(pack: PackIdentity, headers: readonly InstanceHeader[]): Promise<void> {
    const key = packKey(pack, 'headers');
    if (this.headers.has(key)) return;
    this.headers.set(key, copy(headers));
    this.writtenAt.set(key, this.now());
  }

  async getHeaders(pack: PackIdentity): Promise<readonly InstanceHeader[] | undefined> {
    return copy(this.headers.get(packKey(pack, 'headers')));
  }

  async packLengthBytes(pack: PackIdentity): Promise<number | undefined> {
    return this.packs.get(packKey(pack, 'tar'))?.length;
  }

  async look(pack: PackIdentity): Promise<PackStanding> {
    const { tenantId, studyInstanceUID, seriesInstanceUID, packId } = pack;
    const part = (name: PackPart, lengthBytes: number | undefined) =>
      (lengthBytes === undefined ? {} : { [name]: { lengthBytes, writtenAt: this.writtenAt.get(packKey(pack, name)) ?? new Date(0) } });
    const warrants = [...this.warrants].flatMap(([key, writtenAt]) => (key.startsWith(`${packStem(pack)}.`) ? [{ ...parseWarrantKey(key)!.warrant, writtenAt }] : []));
    return { tenantId, studyInstanceUID, seriesInstanceUID, packId, at: this.now(), warrants, ...part('tar', this.packs.get(packKey(pack, 'tar'))?.length),
      ...part('headers', this.headers.get(packKey(pack, 'headers'))?.length), ...part('index', this.indexes.has(packKey(pack, 'index')) ? 1 : undefined) };
  }

  async commitIndex(index: PackIndex): Promise<PackIndex> {
    const key = packKey(index, 'index');
    const first = this.indexes.get(key);
    if (!first) this.indexes.set(key, copy(index));
    return copy(first ?? index);
  }

  async getIndex(pack: PackIdentity): Promise<PackIndex | undefined> {
    return copy(this.indexes.get(packKey(pack, 'index')));
  }

  async listIndexes(tenantId: string, studyInstanceUID: string): Promise<readonly PackIndex[]> {
    const prefix = studyPrefix(tenantId, studyInstanceUID);
    return withChoices(inCommitOrder([...this.indexes].filter(([key]) => key.startsWith(prefix)).map(([, index]) => copy(index))), this.#choicesOf(tenantId, studyInstanceUID));
  }

  async addChoice(draft: ChoiceDraft): Promise<StudyChoice> {
    const known = this.#choicesOf(draft.tenantId, draft.studyInstanceUID);
    const counts = latestChoices(known).get(draft.sopInstanceUID);
    if (counts && isSameDecision(counts, draft)) return copy(counts);
    const choice: StudyChoice = { formatVersion: 1, ...draft, number: known.length + 1 };
    this.choices.set(choiceKey(draft.tenantId, draft.studyInstanceUID, choice.number), copy(choice));
    return choice;
  }

  #choicesOf(tenantId: string, studyInstanceUID: string): readonly StudyChoice[] {
    return [...this.choices].filter(([key]) => parseChoiceKey(key)?.tenantId === tenantId && parseChoiceKey(key)?.studyInstanceUID === studyInstanceUID).map(([, choice]) => copy(choice));
  }

  async listStudies(tenantId: string, { cursor = '', limit }: { readonly cursor?: string | undefined; readonly limit: number }): Promise<StudyPage> {
    const prefix = `${tenantPrefix(tenantId)}studies/`;
    const studies = [...this.packs.keys(), ...this.indexes.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length).split('/')[0]!);
    const rest = [...new Set(studies)].sort().filter((study) => study > cursor);
    return { studyInstanceUIDs: rest.slice(0, limit), next: rest.length > limit ? rest[limit - 1] : undefined };
  }

  async readRange(pack: PackIdentity, offsetBytes: number, lengthBytes: number): Promise<Readable> {
    const key = packKey(pack, 'tar');
    const bytes = this.packs.get(key)?.subarray(offsetBytes, offsetBytes + lengthBytes);
    if (bytes?.length !== lengthBytes) throw new StoreError('The archive does not have these bytes', { tenantId: pack.tenantId, key });
    return Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false });
  }
}

export class MemoryAuditLog implements AuditLog {
  readonly events = new Map<string, AuditEvent>();

  async record(events: readonly AuditEvent[]): Promise<void> {
    for (const event of events) {
      const id = `${event.tenantId}|${event.eventId}`;
      if (!this.events.has(id)) this.events.set(id, copy(event));
    }
  }

  async catchUp(): Promise<number> {
    return 0;
  }

  async history(tenantId: string, studyInstanceUID: string, { limit, offset }: { readonly limit: number; readonly offset: number }) {
    const found = [...this.events.values()]
      .filter((event) => event.tenantId === tenantId && event.studyInstanceUID === studyInstanceUID)
      .toSorted((a, b) => (a.at === b.at ? (a.eventId < b.eventId ? -1 : 1) : a.at < b.at ? -1 : 1));
    return { events: copy(found.slice(offset, offset + limit)), total: found.length };
  }
}

/** Objects guarded by an ETag that every write changes. */
class VersionedMap<T> {
  readonly #entries = new Map<string, Versioned<T>>();
  #writes = 0;

  keys(): readonly string[] {
    return [...this.#entries.keys()];
  }

  get(key: string): Versioned<T> | undefined {
    return copy(this.#entries.get(key));
  }

  put(key: string, value: T, etag: string | undefined): string {
    if (this.#entries.get(key)?.etag !== etag) throw new VersionConflict(`${key} was changed since it was read`);
    const next = `"${++this.#writes}"`;
    this.#entries.set(key, copy({ value, etag: next }));
    return next;
  }
}

export class MemoryTenantStore implements TenantStore {
  readonly #configs = new VersionedMap<TenantConfig>();

  async get(tenantId: string): Promise<Versioned<TenantConfig> | undefined> {
    return isTenantId(tenantId) ? this.#configs.get(tenantId) : undefined;
  }

  async put(config: TenantConfig, etag: string | undefined): Promise<void> {
    const valid = parseTenantConfig(config);
    this.#configs.put(valid.tenantId, valid, etag);
  }
}

export class MemoryDeliveryStore implements DeliveryStore {
  readonly #ledgers = new VersionedMap<DeliveryLedger>();

  async list(tenantId: string, destinationId: string, { cursor = '', limit }: { readonly cursor?: string | undefined; readonly limit: number }, _signal?: AbortSignal): Promise<StudyPage> {
    const prefix = deliveryPrefix(tenantId, destinationId);
    const rest = this.#ledgers.keys().flatMap((key) => studyOfDeliveryKey(prefix, key) ?? []).toSorted().filter((uid) => uid > cursor);
    return { studyInstanceUIDs: rest.slice(0, limit), next: rest.length > limit ? rest[limit - 1] : undefined };
  }

  async get(tenantId: string, destinationId: string, studyInstanceUID: string): Promise<Versioned<DeliveryLedger>> {
    return this.#ledgers.get(deliveryKey(tenantId, destinationId, studyInstanceUID))
      ?? { value: emptyLedger(tenantId, destinationId, studyInstanceUID), etag: undefined };
  }

  async put(ledger: DeliveryLedger, etag: string | undefined): Promise<string> {
    return this.#ledgers.put(deliveryKey(ledger.tenantId, ledger.destinationId, ledger.studyInstanceUID), ledger, etag);
  }
}

export class MemoryCommitmentStore implements CommitmentStore {
  readonly #commitments = new VersionedMap<Commitment>();

  async get({ tenantId, gatewayId, transactionUID }: CommitmentName): Promise<Versioned<Commitment> | undefined> {
    return this.#commitments.get(commitmentKey(tenantId, gatewayId, transactionUID));
  }

  async put(commitment: Commitment, etag: string | undefined): Promise<string> {
    return this.#commitments.put(commitmentKey(commitment.tenantId, commitment.gatewayId, commitment.transactionUID), commitment, etag);
  }
}

export class MemoryCircuitStore implements CircuitStore {
  readonly #open = new Map<string, Trouble>();

  async get(tenantId: string, destinationId: string): Promise<Trouble | undefined> {
    return this.#open.get(`${tenantId}/${destinationId}`);
  }

  async set(tenantId: string, destinationId: string, open: Trouble | undefined): Promise<void> {
    if (open) this.#open.set(`${tenantId}/${destinationId}`, copy(open));
    else this.#open.delete(`${tenantId}/${destinationId}`);
  }
}

import { packKey, parsePackKey, parseWarrantKey, tenantPrefix, warrantKey } from '../../domain/keys.ts';
import type { PackIdentity } from '../../domain/pack.ts';
import type { PackStanding, Warrant } from '../../domain/removal.ts';
import type { OpenUpload, OrphanStore } from '../ports.ts';
import type { MemoryArchive } from './memoryStores.ts';

/** What no commit names in an archive in memory, by its clock. */
export class MemoryOrphans implements OrphanStore {
  readonly uploads: (OpenUpload & { readonly lengthBytes: number })[] = [];
  readonly #archive: MemoryArchive;

  constructor(archive: MemoryArchive) {
    this.#archive = archive;
  }

  async listOrphans(tenantId: string, { cursor = '', limit }: { readonly cursor?: string | undefined; readonly limit: number }): Promise<{ readonly packs: readonly PackStanding[]; readonly next: string | undefined }> {
    const { packs, headers, indexes, warrants } = this.#archive;
    const keys = [...packs.keys(), ...headers.keys(), ...indexes.keys(), ...warrants.keys()].filter((key) => key.startsWith(tenantPrefix(tenantId)) && key > cursor).sort();
    const page = keys.slice(0, limit);
    const found = Map.groupBy(page.map((key) => parsePackKey(key) ?? parseWarrantKey(key)!.pack), (pack) => packKey(pack, 'tar'));
    const standings = await Promise.all([...found.values()].map(([pack]) => this.#archive.look(pack!)));
    return { packs: standings.filter(({ index, warrants: those }) => !index || those.length > 0), next: keys.length > limit ? page.at(-1) : undefined };
  }

  async putWarrant(pack: PackIdentity, warrant: Warrant): Promise<void> {
    this.#archive.warrants.set(warrantKey(pack, warrant), this.#archive.now());
  }

  async removeWarrant(pack: PackIdentity, warrant: Warrant): Promise<void> {
    this.#archive.warrants.delete(warrantKey(pack, warrant));
  }

  async removePart(pack: PackIdentity, part: 'tar' | 'headers', _at: Date, until: Date): Promise<boolean> {
    if (this.#archive.now() > until) return false;
    this.#archive[part === 'tar' ? 'packs' : 'headers'].delete(packKey(pack, part));
    return true;
  }

  async *listUploads(tenantId: string): AsyncIterable<OpenUpload> {
    yield* this.uploads.filter(({ key }) => key.startsWith(tenantPrefix(tenantId)));
  }

  async abortUpload(_tenantId: string, { uploadId }: OpenUpload): Promise<number> {
    const at = this.uploads.findIndex((upload) => upload.uploadId === uploadId);
    return at < 0 ? 0 : this.uploads.splice(at, 1)[0]!.lengthBytes;
  }
}

import { packKey } from '../../../domain/keys.ts';
import type { InstanceHeader } from '../../../domain/instance.ts';
import { LruCache } from '../../../stores/lru.ts';
import type { ArchiveStore } from '../../../stores/ports.ts';

type HeaderSource = Pick<ArchiveStore, 'getHeaders'>;

/** One line in so many is measured. */
const sampled = 16;

/**
 * Keeps the headers of the packs read last: viewers ask for many frames of one instance, and for metadata before that.
 * A header file never changes once it is written.
 *
 * @param cacheBytes of the headers' JSON text; in memory it is some three times as much, four times when metadata was given of it
 */
export function createHeaderCache(archive: HeaderSource, cacheBytes: number): HeaderSource {
  const cache = new LruCache<readonly InstanceHeader[]>(cacheBytes);
  return {
    async getHeaders(pack, signal) {
      const key = packKey(pack, 'headers');
      const cached = cache.get(key);
      if (cached) return cached;
      const headers = await archive.getHeaders(pack, signal);
      if (headers) cache.set(key, headers, textBytes(headers));
      return headers;
    },
  };
}

function textBytes(headers: readonly InstanceHeader[]): number {
  const measured = headers.filter((_, at) => at % sampled === 0);
  const bytes = measured.reduce((sum, header) => sum + JSON.stringify(header).length, 0);
  return Math.ceil((bytes * headers.length) / Math.max(1, measured.length));
}

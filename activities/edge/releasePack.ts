import type { SpooledPack } from '../../domain/pack.ts';
import type { PackSpool } from '../../stores/ports.ts';

/** Tells the gateway's disk that the archive has the pack and its study knows it. Idempotent: a pack gone is released. */
export const createReleasePack = (deps: { readonly spool: PackSpool }) =>
  async function releasePack(pack: SpooledPack): Promise<void> {
    await deps.spool.release(pack);
  };

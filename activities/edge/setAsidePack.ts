import type { GivenUp, SpooledPack } from '../../domain/pack.ts';
import type { PackSpool } from '../../stores/ports.ts';

/** Puts a pack that a person gave up where the gateway keeps it and does not tell it. Idempotent. */
export const createSetAsidePack = (deps: { readonly spool: PackSpool }) =>
  async function setAsidePack(pack: SpooledPack, why: GivenUp): Promise<void> {
    await deps.spool.setAside(pack, why);
  };

import { cancellationSignal } from '@temporalio/activity';
import type { PackIdentity } from '../../domain/pack.ts';
import { gatewayOf, type ExaminedPack } from '../../domain/sweep.ts';
import { withHeartbeat } from '../heartbeat.ts';
import { findDamage, type VerifyDeps } from './verifyPack.ts';

/** Reads a pack whole and says what is wrong with it, and which gateway may still have it. */
export const createExaminePack = (deps: VerifyDeps) =>
  async function examinePack(pack: PackIdentity): Promise<ExaminedPack> {
    const signal = cancellationSignal();
    return withHeartbeat(async () => {
      const index = await deps.archive.getIndex(pack, signal);
      if (!index) return { damage: 'its index is gone' };
      const damage = await findDamage(deps, index, signal);
      return { ...(damage === undefined ? {} : { damage }), ...gatewayOf(index.origin) };
    });
  };

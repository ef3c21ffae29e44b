import { cancellationSignal } from '@temporalio/activity';
import type { PackVerdict, StagedPack } from '../../domain/pack.ts';
import { judgeInstance } from '../../domain/validation.ts';
import type { ArchiveStore } from '../../stores/ports.ts';
import { packName, permanent } from '../failure.ts';

/**
 * Judges every instance of a staged pack by its header. A bad instance is a count and a rule here, no failure:
 * archivePack applies the same rules and writes each verdict down. Reads only.
 *
 * @throws `PackUnstaged` when the header file is missing, `PackCorrupt` when it speaks of another number of instances.
 */
export const createValidatePack = (deps: { readonly archive: ArchiveStore }) =>
  async function validatePack(pack: StagedPack): Promise<PackVerdict> {
    const headers = await deps.archive.getHeaders(pack, cancellationSignal());
    if (!headers) throw permanent('PackUnstaged', packName(pack));
    if (headers.length !== pack.instanceCount) throw permanent('PackCorrupt', packName(pack));
    const broken = headers.map((header) => judgeInstance(header, pack)).filter((judgement) => judgement.verdict === 'quarantined');
    return {
      acceptedCount: headers.length - broken.length,
      quarantinedCount: broken.length,
      rules: [...new Set(broken.map(({ rule }) => rule))],
    };
  };

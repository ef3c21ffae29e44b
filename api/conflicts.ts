import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { PackIndex } from '../domain/pack.ts';
import type { IndexedInstance } from '../domain/instance.ts';
import type { ArchiveStore } from '../stores/ports.ts';
import { choiceWorkflowId } from '../workflows/ids.ts';
import type { TenantHandler } from './context.ts';
import { requiredUid } from './dicomweb/parameters.ts';
import type { Flows } from './flowsClient.ts';
import { flowUrl } from './flowUrls.ts';
import { readJson } from './jsonBody.ts';
import { HttpProblem, notFound } from './problems.ts';

export interface DecideConflictDeps {
  readonly archive: Pick<ArchiveStore, 'listIndexes'>;
  readonly flows: Pick<Flows, 'startChoice' | 'ended'>;
  readonly now: () => Date;
}

const hex = z.string().regex(/^[0-9a-f]{64}$/, 'takes 64 lower-case hex digits');
const decision = z.strictObject({ sha256: hex.optional(), packId: hex.optional(), why: z.string().trim().min(1, 'says why, for the history').max(1000) })
  .refine(({ sha256, packId }) => sha256 !== undefined || packId !== undefined, 'takes sha256 or packId: which instance is to be current');

/** How long the caller is kept before 202. */
const waitMs = 10_000;

/** An admin says which of the instances under one SOP Instance UID is current. Undone by choosing another. */
export const createDecideConflict = (deps: DecideConflictDeps): TenantHandler =>
  async function decideConflict({ tenantId, tenantUrl, subject, signal }, request, response) {
    const studyInstanceUID = requiredUid(request, 'study');
    const sopInstanceUID = requiredUid(request, 'instance');
    const asked = await readJson(request, decision);
    const packs = await deps.archive.listIndexes(tenantId, studyInstanceUID, signal);
    const { pack, instance } = onlyCandidate(packs, sopInstanceUID, asked);
    const flowId = choiceWorkflowId(tenantId, studyInstanceUID, randomUUID());
    await deps.flows.startChoice({ tenantId, studyInstanceUID, sopInstanceUID, packId: pack.packId, sha256: instance.sha256,
      by: subject, why: asked.why, at: deps.now().toISOString(), flowId });
    const done = await deps.flows.ended(flowId, waitMs, signal);
    response.status(done ? 200 : 202).location(flowUrl(tenantUrl, flowId)).json({ flowId, flow: flowUrl(tenantUrl, flowId), sopInstanceUID, packId: pack.packId, sha256: instance.sha256 });
  };

/** @throws HttpProblem 404 when the study has no such instance, 422 when it cannot be current */
function onlyCandidate(packs: readonly PackIndex[], sopInstanceUID: string, { sha256, packId }: z.infer<typeof decision>): { readonly pack: PackIndex; readonly instance: IndexedInstance } {
  const found = packs.flatMap((pack) => pack.instances.filter((instance) => instance.sopInstanceUID === sopInstanceUID).map((instance) => ({ pack, instance })));
  const [first] = found.filter(({ pack, instance }) => (sha256 === undefined || instance.sha256 === sha256) && (packId === undefined || pack.packId === packId));
  if (!first) throw notFound(found.length === 0 ? `This study has no instance ${sopInstanceUID}.` : 'This study has no such bytes under this SOP Instance UID. GET …/conflicts lists what it has, with sha256 and packId.');
  if (first.instance.verdict === 'quarantined') throw new HttpProblem(422, 'A quarantined instance cannot be current. Its reason is in GET …/conflicts.');
  return first;
}

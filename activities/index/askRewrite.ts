import { priorities } from '../../domain/tenant.ts';
import { rewriteUpdate, type StudyIdentity } from '../../workflows/contracts.ts';
import { startOfStudy, type StudyFlowDeps, type StudyWorkflow } from '../studyFlow.ts';

/** Shorter than the activity's own timeout: an attempt that was given up leaves no call behind. */
const callTimeoutMs = 20_000;

/** Has a study's own flow, the only writer of its documents, write them all again; starts it when none runs. Twice is one rewrite more. */
export const createAskRewrite = (deps: StudyFlowDeps) =>
  async function askRewrite({ tenantId, studyInstanceUID }: StudyIdentity): Promise<void> {
    const study: StudyIdentity = { tenantId, studyInstanceUID };
    const client = deps.client();
    await client.withDeadline(Date.now() + callTimeoutMs, () =>
      client.workflow.executeUpdateWithStart<StudyWorkflow, void, [StudyIdentity]>(rewriteUpdate,
        { args: [study], startWorkflowOperation: startOfStudy(deps, study, priorities.bulk) }));
  };

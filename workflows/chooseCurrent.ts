import { proxyActivities } from '@temporalio/workflow';
import type { IndexActivities } from '../activities/index.ts';
import { taskQueues, type ChooseCurrentInput, type ChooseCurrentOutcome } from './contracts.ts';
import { openFlowBoard } from './flowState.ts';

const { chooseInstance, askRewrite } = proxyActivities<IndexActivities>({
  taskQueue: taskQueues.index, startToCloseTimeout: '1 minute', heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/** Makes one instance the current one of its SOP Instance UID: writes the choice into the archive, then has each study that it concerns write its documents again. */
export async function chooseCurrent(input: ChooseCurrentInput): Promise<ChooseCurrentOutcome> {
  const { tenantId, sopInstanceUID } = input;
  const board = openFlowBoard(() => ({}));
  board.say(`Chooses pack ${input.packId.slice(0, 12)} for instance ${sopInstanceUID}.`);
  const studies = await chooseInstance(input);
  for (const studyInstanceUID of studies) await askRewrite({ tenantId, studyInstanceUID });
  board.close('DONE', `Instance ${sopInstanceUID} is current in study ${input.studyInstanceUID} from pack ${input.packId.slice(0, 12)}; ${studies.length === 1 ? '1 study is' : `${studies.length} studies are`} written again.`);
  return { studyCount: studies.length };
}

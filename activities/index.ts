import { createFindSpooled } from './commitment/findSpooled.ts';
import { createJudgeCommitment } from './commitment/judgeCommitment.ts';
import { createRecordCommitment } from './commitment/recordCommitment.ts';
import { createReleaseCommitment } from './commitment/releaseCommitment.ts';
import { createReportCommitment } from './commitment/reportCommitment.ts';
import { createTakeCommitment } from './commitment/takeCommitment.ts';
import { createPutBackPack } from './edge/putBackPack.ts';
import { createReleasePack } from './edge/releasePack.ts';
import { createSetAsidePack } from './edge/setAsidePack.ts';
import { createStagePack } from './edge/stagePack.ts';
import { createAskRewrite } from './index/askRewrite.ts';
import { createChooseInstance } from './index/chooseInstance.ts';
import { createDropIndex } from './index/dropIndex.ts';
import { createIndexStudy } from './index/indexStudy.ts';
import { createRebuildAudit } from './index/rebuildAudit.ts';
import { createRebuildPage } from './index/rebuildPage.ts';
import { createSettleStudy } from './index/settleStudy.ts';
import { createApplyPriority } from './ingest/applyPriority.ts';
import { createArchivePack } from './ingest/archivePack.ts';
import { createRegisterPack } from './ingest/registerPack.ts';
import { createValidatePack } from './ingest/validatePack.ts';
import { createExaminePack } from './sweep/examinePack.ts';
import { createMendPack } from './sweep/mendPack.ts';
import { createAbortUploads } from './sweep/abortUploads.ts';
import { createRemoveOrphans } from './sweep/removeOrphans.ts';
import { createSweepPage } from './sweep/sweepPage.ts';
import { createVerifyPack } from './sweep/verifyPack.ts';
import { createRecordAudit } from './recordAudit.ts';
import { createConfirmInstances } from './route/confirmInstances.ts';
import { createFailUnsent } from './route/failUnsent.ts';
import { createFindRoutes } from './route/findRoutes.ts';
import { createJoinCircuit } from './route/joinCircuit.ts';
import { createFindMoveDestination } from './route/findMoveDestination.ts';
import { createMoveInstances } from './route/moveInstances.ts';
import { createPageReplay } from './route/pageReplay.ts';
import { createProbeDestination } from './route/probeDestination.ts';
import { createSendInstances } from './route/sendInstances.ts';
import { createSetCircuit } from './route/setCircuit.ts';
import { createSkipInstances } from './route/skipInstances.ts';

type ActivityOf<Create extends (deps: never) => unknown> = ReturnType<Create>;

/** At the gateway's site, on its own queue. */
export interface EdgeActivities {
  readonly stagePack: ActivityOf<typeof createStagePack>;
  readonly releasePack: ActivityOf<typeof createReleasePack>;
  readonly setAsidePack: ActivityOf<typeof createSetAsidePack>;
  readonly takeCommitment: ActivityOf<typeof createTakeCommitment>;
  readonly findSpooled: ActivityOf<typeof createFindSpooled>;
  readonly reportCommitment: ActivityOf<typeof createReportCommitment>;
  readonly releaseCommitment: ActivityOf<typeof createReleaseCommitment>;
  readonly putBackPack: ActivityOf<typeof createPutBackPack>;
  readonly moveInstances: ActivityOf<typeof createMoveInstances>;
  readonly sendInstances: ActivityOf<typeof createSendInstances>;
  readonly confirmInstances: ActivityOf<typeof createConfirmInstances>;
  readonly probeDestination: ActivityOf<typeof createProbeDestination>;
}

export interface IngestActivities {
  readonly validatePack: ActivityOf<typeof createValidatePack>;
  readonly archivePack: ActivityOf<typeof createArchivePack>;
  readonly registerPack: ActivityOf<typeof createRegisterPack>;
  readonly applyPriority: ActivityOf<typeof createApplyPriority>;
  readonly recordAudit: ActivityOf<typeof createRecordAudit>;
}

export interface IndexActivities {
  readonly askRewrite: ActivityOf<typeof createAskRewrite>;
  readonly chooseInstance: ActivityOf<typeof createChooseInstance>;
  readonly indexStudy: ActivityOf<typeof createIndexStudy>;
  readonly settleStudy: ActivityOf<typeof createSettleStudy>;
  readonly dropIndex: ActivityOf<typeof createDropIndex>;
  readonly rebuildPage: ActivityOf<typeof createRebuildPage>;
  readonly sweepPage: ActivityOf<typeof createSweepPage>;
  readonly removeOrphans: ActivityOf<typeof createRemoveOrphans>;
  readonly abortUploads: ActivityOf<typeof createAbortUploads>;
  readonly verifyPack: ActivityOf<typeof createVerifyPack>;
  readonly judgeCommitment: ActivityOf<typeof createJudgeCommitment>;
  readonly recordCommitment: ActivityOf<typeof createRecordCommitment>;
  readonly examinePack: ActivityOf<typeof createExaminePack>;
  readonly mendPack: ActivityOf<typeof createMendPack>;
  readonly rebuildAudit: ActivityOf<typeof createRebuildAudit>;
  readonly recordAudit: ActivityOf<typeof createRecordAudit>;
}

export interface RouteActivities {
  readonly findRoutes: ActivityOf<typeof createFindRoutes>;
  readonly failUnsent: ActivityOf<typeof createFailUnsent>;
  readonly findMoveDestination: ActivityOf<typeof createFindMoveDestination>;
  readonly sendInstances: ActivityOf<typeof createSendInstances>;
  readonly confirmInstances: ActivityOf<typeof createConfirmInstances>;
  readonly probeDestination: ActivityOf<typeof createProbeDestination>;
  readonly skipInstances: ActivityOf<typeof createSkipInstances>;
  readonly pageReplay: ActivityOf<typeof createPageReplay>;
  readonly setCircuit: ActivityOf<typeof createSetCircuit>;
  readonly joinCircuit: ActivityOf<typeof createJoinCircuit>;
  readonly recordAudit: ActivityOf<typeof createRecordAudit>;
}

import type { Client } from '@temporalio/client';
import type { Transcoder } from '../codecs/transcoder.ts';
import type { EdgeActivities, IndexActivities, IngestActivities, RouteActivities } from '../activities/index.ts';
import { alive } from '../activities/heartbeat.ts';
import { createFindSpooled } from '../activities/commitment/findSpooled.ts';
import { createJudgeCommitment } from '../activities/commitment/judgeCommitment.ts';
import { createRecordCommitment } from '../activities/commitment/recordCommitment.ts';
import { createReleaseCommitment } from '../activities/commitment/releaseCommitment.ts';
import { createReportCommitment } from '../activities/commitment/reportCommitment.ts';
import { createTakeCommitment } from '../activities/commitment/takeCommitment.ts';
import { createPutBackPack } from '../activities/edge/putBackPack.ts';
import { createReleasePack } from '../activities/edge/releasePack.ts';
import { createSetAsidePack } from '../activities/edge/setAsidePack.ts';
import { createStagePack } from '../activities/edge/stagePack.ts';
import { createAskRewrite } from '../activities/index/askRewrite.ts';
import { createChooseInstance } from '../activities/index/chooseInstance.ts';
import { createDropIndex } from '../activities/index/dropIndex.ts';
import { createIndexStudy } from '../activities/index/indexStudy.ts';
import { createRebuildAudit } from '../activities/index/rebuildAudit.ts';
import { createRebuildPage } from '../activities/index/rebuildPage.ts';
import { createSettleStudy } from '../activities/index/settleStudy.ts';
import { createApplyPriority } from '../activities/ingest/applyPriority.ts';
import { createArchivePack } from '../activities/ingest/archivePack.ts';
import { createRegisterPack } from '../activities/ingest/registerPack.ts';
import { createValidatePack } from '../activities/ingest/validatePack.ts';
import { createExaminePack } from '../activities/sweep/examinePack.ts';
import { createMendPack } from '../activities/sweep/mendPack.ts';
import { createAbortUploads } from '../activities/sweep/abortUploads.ts';
import { createRemoveOrphans } from '../activities/sweep/removeOrphans.ts';
import { createSweepPage } from '../activities/sweep/sweepPage.ts';
import { createVerifyPack } from '../activities/sweep/verifyPack.ts';
import { createRecordAudit } from '../activities/recordAudit.ts';
import { createConfirmInstances } from '../activities/route/confirmInstances.ts';
import { createFailUnsent } from '../activities/route/failUnsent.ts';
import { createFindRoutes } from '../activities/route/findRoutes.ts';
import { createJoinCircuit } from '../activities/route/joinCircuit.ts';
import { createPlaces } from '../activities/route/places.ts';
import { createFindMoveDestination } from '../activities/route/findMoveDestination.ts';
import { createMoveInstances } from '../activities/route/moveInstances.ts';
import { createPageReplay } from '../activities/route/pageReplay.ts';
import { createProbeDestination } from '../activities/route/probeDestination.ts';
import { createSendInstances } from '../activities/route/sendInstances.ts';
import { createSetCircuit } from '../activities/route/setCircuit.ts';
import { createSkipInstances } from '../activities/route/skipInstances.ts';
import { commitmentDesk } from '../edge-gateway/commitment/desk.ts';
import { spoolReader } from '../edge-gateway/spool/reader.ts';
import type { Stores } from '../stores/compose.ts';
import { probeDicomWeb } from '../stores/destinations/destination.ts';
import { readBackDicomWeb } from '../stores/destinations/readBack.ts';
import { readPackHeaders } from '../stores/packs/packHeaders.ts';
import { taskQueues } from '../workflows/contracts.ts';
import { edgeTaskQueue } from '../workflows/ids.ts';
import type { WorkerConfig, WorkerRole } from './config.ts';
import { createPeerOf } from './dicomPeer.ts';
import { createDicomAsker, createDicomProbe, createDicomReadBack, createDicomReporter, createDicomSender } from './dicomSender.ts';
import { Transcodings } from './transcodings.ts';

/** What one Temporal worker polls and runs. */
export interface WorkerPlan {
  readonly taskQueue: string;
  readonly activities?: object;
  readonly workflows: boolean;
  /** Activities at once: the edge is bound by its uplink, the others by S3 and OpenSearch. */
  readonly maxActivities: number;
}

type Deps = { readonly config: WorkerConfig; readonly stores: Stores; readonly client: () => Client; readonly codecs: Transcoder };
type Edge = NonNullable<WorkerConfig['edge']>;

const now = (): Date => new Date();

/** One plan for each role of this process. */
export const planWorkers = (deps: Deps): readonly WorkerPlan[] => deps.config.roles.map((role) => plans[role](deps));

const plans: Readonly<Record<WorkerRole, (deps: Deps) => WorkerPlan>> = {
  core: () => ({ taskQueue: taskQueues.core, workflows: true, maxActivities: 1 }),
  ingest: (deps) => ({ taskQueue: taskQueues.ingest, activities: ingestActivities(deps), workflows: false, maxActivities: 16 }),
  index: (deps) => ({ taskQueue: taskQueues.index, activities: indexActivities(deps), workflows: false, maxActivities: 16 }),
  route: (deps) => ({ taskQueue: taskQueues.route, activities: routeActivities(deps), workflows: false, maxActivities: 16 }),
  edge: (deps) => {
    const edge = deps.config.edge!;
    return { taskQueue: edgeTaskQueue(edge.tenantId, edge.gatewayId), activities: edgeActivities(deps, edge), workflows: false, maxActivities: 8 };
  },
};

const ingestActivities = ({ config, stores, client }: Deps): IngestActivities => ({
  validatePack: alive(createValidatePack(stores)),
  archivePack: alive(createArchivePack({ ...stores, now })),
  registerPack: createRegisterPack({ client, ...config.study }),
  applyPriority: createApplyPriority({ client }),
  recordAudit: createRecordAudit(stores),
});

const indexActivities = ({ config, stores, client }: Deps): IndexActivities => ({
  askRewrite: alive(createAskRewrite({ client, ...config.study })),
  settleStudy: alive(createSettleStudy({ ...stores, rewrite: createAskRewrite({ client, ...config.study }), now })),
  sweepPage: createSweepPage({ ...stores, rewrite: createAskRewrite({ client, ...config.study }), bytesPerSecond: config.sweepBytesPerSecond, now }),
  removeOrphans: createRemoveOrphans(stores),
  abortUploads: createAbortUploads(stores),
  verifyPack: createVerifyPack({ ...stores, bytesPerSecond: config.sweepBytesPerSecond }),
  examinePack: createExaminePack({ ...stores, bytesPerSecond: config.sweepBytesPerSecond }),
  mendPack: createMendPack(stores),
  chooseInstance: alive(createChooseInstance(stores)),
  indexStudy: alive(createIndexStudy({ ...stores, rewrite: createAskRewrite({ client, ...config.study }), now })),
  dropIndex: createDropIndex(stores),
  rebuildPage: createRebuildPage(stores),
  judgeCommitment: createJudgeCommitment({ ...stores, now }),
  recordCommitment: alive(createRecordCommitment(stores)),
  rebuildAudit: createRebuildAudit(stores),
  recordAudit: createRecordAudit(stores),
});

const routeActivities = ({ config, stores, client }: Deps): RouteActivities => ({
  findRoutes: alive(createFindRoutes(stores)),
  failUnsent: alive(createFailUnsent(stores)),
  findMoveDestination: createFindMoveDestination(stores),
  sendInstances: createSendInstances({ ...stores, senders: { dicomweb: stores.dicomWebSender }, places: createPlaces(), firstRetryMs: config.firstRetryMs, now }),
  confirmInstances: createConfirmInstances({ ...stores, readBacks: { dicomweb: readBackDicomWeb }, firstRetryMs: config.firstRetryMs, commitmentTimeoutMs: config.commitmentTimeoutMs, now }),
  skipInstances: createSkipInstances({ ...stores, now }),
  pageReplay: createPageReplay({ ...stores, now }),
  probeDestination: createProbeDestination({ ...stores, probes: { dicomweb: probeDicomWeb } }),
  setCircuit: createSetCircuit(stores),
  joinCircuit: createJoinCircuit({ ...stores, client, firstRetryMs: config.firstRetryMs }),
  recordAudit: createRecordAudit(stores),
});

const edgeActivities = ({ config, stores, codecs }: Deps, edge: Edge): EdgeActivities => {
  const spool = spoolReader(edge.spoolDir, { keep: edge.keepsPacks });
  const desk = commitmentDesk(edge.spoolDir);
  const places = createPlaces();
  const peerOf = createPeerOf({ ownAETitle: edge.aeTitle, tlsDir: edge.tlsDir });
  const sender = createDicomSender(peerOf, new Transcodings({ codecs, ...config.codecs }));
  return {
    stagePack: createStagePack({ spool, archive: stores.archive, readHeaders: readPackHeaders }),
    releasePack: createReleasePack({ spool }),
    setAsidePack: createSetAsidePack({ spool }),
    putBackPack: createPutBackPack({ spool, archive: stores.archive }),
    takeCommitment: alive(createTakeCommitment({ ...stores, desk })),
    findSpooled: alive(createFindSpooled({ ...stores, desk })),
    reportCommitment: createReportCommitment({ ...stores, desk, report: createDicomReporter(peerOf), firstRetryMs: config.firstRetryMs }),
    releaseCommitment: alive(createReleaseCommitment({ desk })),
    moveInstances: createMoveInstances({ ...stores, sender, places, now }),
    sendInstances: createSendInstances({ ...stores, senders: { dicom: sender }, places, firstRetryMs: config.firstRetryMs, now }),
    confirmInstances: createConfirmInstances({ ...stores, readBacks: { dicom: createDicomReadBack(peerOf) }, asker: createDicomAsker(peerOf, edge.spoolDir),
      firstRetryMs: config.firstRetryMs, commitmentTimeoutMs: config.commitmentTimeoutMs, now }),
    probeDestination: createProbeDestination({ ...stores, probes: { dicom: createDicomProbe(peerOf) } }),
  };
};

import type { DestinationFailure, Trouble } from '../domain/circuit.ts';
import type { CommitmentName } from '../domain/commitment.ts';
import type { ReplaySelection } from '../domain/delivery.ts';
import type { GivenUp, PackOrigin, SpooledPack, StagedPack } from '../domain/pack.ts';
import type { DamagedPack } from '../domain/sweep.ts';
import type { Priority } from '../domain/tenant.ts';

/** Task queues; each gateway's own is `edgeTaskQueue` in ids.ts. */
export const taskQueues = { core: 'pacs-core', ingest: 'pacs-ingest', index: 'pacs-index', route: 'pacs-route' } as const;

/** Search attributes by name (infra/temporal/searchAttributes.json registers them). */
export const searchAttributes = {
  tenantId: 'TenantId', gatewayId: 'GatewayId', studyInstanceUID: 'StudyInstanceUID', studyInstanceUIDs: 'StudyInstanceUIDs',
  flowState: 'FlowState', errorType: 'ErrorType', origin: 'Origin', ruleId: 'RuleId', destinationId: 'DestinationId',
  instanceCount: 'InstanceCount', conflictCount: 'ConflictCount', receivedAt: 'ReceivedAt',
} as const;

export type FlowState = 'RUNNING' | 'EDGE_OFFLINE' | 'DESTINATION_AWAY' | 'ATTENTION' | 'PAUSED' | 'DONE' | 'REJECTED';

/** Input of `ingestAssociation`: one received association, or one STOW request. */
export interface IngestAssociationInput {
  readonly tenantId: string;
  readonly origin: PackOrigin;
  readonly priority: Priority;
  /** Set by continue-as-new: what the runs before this one finished and left open. */
  readonly carried?: IngestCarried;
}

export interface IngestCarried {
  readonly waiting: readonly PackWork[];
  readonly parked: readonly ParkedPack[];
  /** The latest alone: a pack that is done is not signalled again, its gateway has forgotten it. */
  readonly seenPackIds: readonly string[];
  readonly seenCount: number;
  /** What a person chose. */
  readonly priority?: Priority;
  readonly outcome: IngestOutcome;
  readonly end?: AssociationEnded;
}

/** A pack to ingest: `spooled` lies on the gateway's disk, `staged` already in the archive (STOW). */
export type PackWork = (
  | { readonly kind: 'spooled'; readonly pack: SpooledPack }
  | { readonly kind: 'staged'; readonly pack: StagedPack }
) & {
  /** A person gave it up: all that is left to do is to have its gateway set it aside. */
  readonly givenUp?: GivenUp;
};

/** A pack that waits for a person. */
export interface ParkedPack {
  readonly work: PackWork;
  readonly sentence: string;
  readonly errorType: string;
}

/** The association's end as the gateway saw it; `packCount` packs were signalled in all. */
export interface AssociationEnded {
  readonly how: 'released' | 'aborted' | 'lost';
  readonly packCount: number;
  readonly instanceCount: number;
  readonly at: string;
}

/** Result of `ingestAssociation`, and its `status` query while it runs. */
export interface IngestOutcome {
  readonly packCount: number;
  readonly acceptedCount: number;
  readonly quarantinedCount: number;
  readonly duplicateCount: number;
  readonly conflictCount: number;
  /** Packs that a person skipped or rejected. */
  readonly abandonedPackCount: number;
}

/** Signals of `ingestAssociation`. Both may arrive more than once, and the end before the last pack. */
export const packReadySignal = 'packReady';
export const associationEndedSignal = 'associationEnded';

/** Input of `studyLifecycle`. */
export interface StudyLifecycleInput {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  /** After how long without a new pack a study counts as stable. */
  readonly quietMs: number;
  /** After how long without a new pack the flow closes; the next pack opens it again. */
  readonly closeAfterMs: number;
  readonly carried?: StudyCarried;
}

export interface StudyCarried {
  readonly waitingPackIds: readonly string[];
  readonly seenPackIds: readonly string[];
  readonly summary: Readonly<Record<string, number>>;
  /** ISO 8601 UTC, of the last index write. */
  readonly indexedAt: string;
  /** The study's revision that routes were last started for. */
  readonly routedRevision: number;
  /** A rewrite was asked for and is not done. */
  readonly rewrite?: boolean;
  /** A person skipped an index write: the next one writes everything. */
  readonly isBehind?: boolean;
  readonly revision: number;
  /** What a person chose: it goes before what rules say. */
  readonly priority?: Priority;
}

/** What `registerPack` hands to the study by the update `addPack`. */
export interface RegisteredPack {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly packId: string;
  readonly origin: PackOrigin;
}
export const addPackUpdate = 'addPack';
export interface AddPackResult { readonly duplicate: boolean }
/** Update of `studyLifecycle`: write all documents of the study again, because a choice was made or the index lacks or has what it should not. Starts no routes. */
export const rewriteUpdate = 'rewrite';
export interface StudyIdentity { readonly tenantId: string; readonly studyInstanceUID: string }

/** Input of `routeStudy`: one study to one destination. */
export interface RouteStudyInput {
  readonly tenantId: string;
  readonly studyInstanceUID: string;
  readonly destinationId: string;
  /** The gateway whose queue sends to a DICOM destination; absent for DICOMweb. */
  readonly gatewayId?: string;
  /** Set when a rule started it. */
  readonly ruleId?: string;
  /** Set when a person or program asked for it: delivered instances are sent again. */
  readonly requestedBy?: string;
  /** A replay: sends these deliveries of the ledger again and nothing else. */
  readonly again?: ReplaySelection;
  readonly priority: Priority;
}

/** Result of `routeStudy`. */
export interface RouteOutcome {
  readonly deliveredCount: number;
  readonly refusedCount: number;
  readonly alreadyThereCount: number;
}

/** Input of `replayDeliveries`: a destination lost what it was sent. */
export interface ReplayDeliveriesInput {
  readonly tenantId: string;
  readonly destinationId: string;
  /** Names this request among others; the last part of the flow's ID and of its deliveries'. */
  readonly jobId: string;
  readonly selection: ReplaySelection;
  readonly by: string;
  readonly why: string;
  /** Counts what would be sent, and sends nothing. */
  readonly dryRun: boolean;
  readonly priority: Priority;
  /** Set by continue-as-new. */
  readonly carried?: { readonly cursor: string; readonly counts: ReplayCounts; readonly priority?: Priority };
}

/** Result of `replayDeliveries`. */
export interface ReplayCounts {
  /** Found by the selection. */
  readonly studyCount: number;
  readonly instanceCount: number;
  /** Studies whose delivery was started. */
  readonly startedCount: number;
  /** Instances. */
  readonly deliveredCount: number;
  readonly refusedCount: number;
  /** Studies that still wait, for their destination or for a person: they go on by themselves. */
  readonly leftCount: number;
}

/** Input of `destinationCircuit`: the deliveries that wait for one destination. */
export interface DestinationCircuitInput {
  readonly tenantId: string;
  readonly destinationId: string;
  /** The gateway whose queue reaches it; absent for DICOMweb. */
  readonly gatewayId?: string;
  readonly firstRetryMs: number;
  readonly maxAssociations: number;
  readonly carried?: CircuitCarried;
}

export interface CircuitCarried {
  readonly waiting: readonly WaitingDelivery[];
  /** Flows whose turn it is, and until when at the latest (ISO 8601 UTC). */
  readonly turns: readonly (readonly [flowId: string, endsAt: string])[];
  readonly trouble?: Trouble;
  readonly shownOpen: boolean;
}

/** A delivery that waits for its destination. */
export interface WaitingDelivery {
  readonly flowId: string;
  readonly priority: Priority;
  /** ISO 8601 UTC: its turn comes not before. */
  readonly notBefore: string;
  /** What it met when it sent. */
  readonly failure?: DestinationFailure;
  /** It met an open circuit. */
  readonly metOpen?: boolean;
}

/** Signals between `routeStudy` and `destinationCircuit`: wait here; it is your turn; my turn is over. Each may come twice. */
export const joinSignal = 'join';
export const turnSignal = 'turn';
export const turnOverSignal = 'turnOver';
export interface TurnOver { readonly flowId: string; /** The destination took what it was sent. */ readonly served: boolean }

/**
 * Updates that a parked flow waits for. `why` and `by` are required. In `ingestAssociation` skip and reject give a pack up:
 * its gateway sets it aside, because nobody but the gateway's admin deletes what was acknowledged, and tells it
 * again when the admin renames it back (docs/architecture.md, Spool). When nothing is parked and the gateway is away, skip and
 * reject give the gateway up: the flow ends without it, and what its disk has of the flow is told again should it come back.
 */
export const parkUpdates = { retry: 'retry', skip: 'skip', reject: 'reject' } as const;
/** For bulk: `temporal workflow signal --query "FlowState='ATTENTION'" --name retrySignal`. */
export const retrySignal = 'retrySignal';
export interface ParkDecision {
  readonly by: string;
  readonly why: string;
  /** One parked pack alone; without it the decision is for everything that is parked now. */
  readonly packId?: string;
}

/** Update of every flow that works on a study: its place among others, from now on. */
export const setPriorityUpdate = 'setPriority';
export interface PriorityDecision {
  readonly priority: Priority;
  readonly by: string;
  readonly why: string;
}

/** Query of every flow: where it stands, in words. */
export const statusQuery = 'status';
export interface FlowStatus {
  readonly state: FlowState;
  readonly sentence: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** Input of `chooseCurrent`: an admin's choice of the instance that is current of a SOP Instance UID. */
export interface ChooseCurrentInput extends StudyIdentity {
  readonly sopInstanceUID: string;
  readonly packId: string;
  readonly sha256: string;
  readonly by: string;
  readonly why: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly flowId: string;
}

/** Result of `chooseCurrent`: how many studies write their documents again. */
export interface ChooseCurrentOutcome { readonly studyCount: number }

/** Input of `sweepTenant`. */
export interface SweepTenantInput {
  readonly tenantId: string;
  /** In how many daily runs every pack's bytes are read and verified; 1 reads all of them in this one. */
  readonly verifyDays: number;
  /** Studies with a younger commit are left to their flows. */
  readonly settleMs: number;
  /** Packs that were staged, and uploads that were begun, longer ago than this and never committed are removed; absent: none are. */
  readonly orphanAgeMs?: number;
  /** Set by continue-as-new. */
  readonly carried?: { readonly side: 'archive' | 'index' | 'orphans'; readonly cursor: string | undefined; readonly startedAt: string; readonly counts: SweepCounts; readonly damaged: readonly DamagedPack[]; readonly removed?: RemovedCounts };
}

/** What a sweep removed because no commit names it. */
export interface RemovedCounts {
  readonly removedPackCount: number;
  readonly removedPackBytes: number;
  readonly abortedUploadCount: number;
  readonly abortedUploadBytes: number;
}

/** What a sweep looked at, and what was not as the archive has it. */
export interface SweepCounts {
  readonly studyCount: number;
  readonly packCount: number;
  /** Packs whose bytes were read and compared with their SHA-256. */
  readonly verifiedCount: number;
  readonly damagedCount: number;
  /** Documents that the index lacked, had otherwise, or had of nothing in the archive. */
  readonly missingCount: number;
  readonly staleCount: number;
  readonly foreignCount: number;
  /** Studies whose documents are written again. */
  readonly rewrittenCount: number;
  /** Instances that two studies held, and this one gave up. */
  readonly doublyHeldCount: number;
}

/** Result of `sweepTenant`; one that removes nothing does not tell of it. */
export interface SweepResult extends SweepCounts, Partial<RemovedCounts> {
  /** Damaged packs that were put back from a copy. */
  readonly healedCount: number;
}

/** Input of `reindexTenant`: one admin's request. */
export interface ReindexTenantInput {
  readonly tenantId: string;
  /** Set by continue-as-new: the documents were dropped, and so much is written again. */
  readonly carried?: { readonly cursor: string | undefined; readonly studyCount: number; readonly instanceCount: number };
}

/** Result of `reindexTenant`. */
export interface ReindexOutcome {
  readonly studyCount: number;
  readonly instanceCount: number;
  readonly eventCount: number;
}

/** What a C-MOVE retrieves of one study: all of it, or these of its series or instances. */
export interface RetrieveSelection {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUIDs?: readonly string[];
  readonly sopInstanceUIDs?: readonly string[];
}

/** Who asked: named in each C-STORE sub-operation (PS3.7 9.1.1.1). */
export interface MoveOriginator { readonly aeTitle: string; readonly messageID: number }

/** Input of `retrieveStudy`. */
export interface RetrieveStudyInput {
  readonly tenantId: string;
  /** The Move Destination: the called AE title of a DICOM destination of the tenant. */
  readonly destinationAETitle: string;
  readonly originator: MoveOriginator;
  /** The gateway that was asked. */
  readonly gatewayId: string;
  readonly selections: readonly RetrieveSelection[];
}

/** Failed instances that a retrieval names; it counts them all. */
export const maxNamedFailures = 100;

/** What became of the sub-operations so far; the heartbeat of the activity that sends. */
export interface RetrieveProgress {
  readonly completedCount: number;
  readonly warningCount: number;
  readonly failedCount: number;
  /** At most `maxNamedFailures`. */
  readonly failedSOPInstanceUIDs: readonly string[];
  /** The last instance that was answered: the next attempt goes on behind it. */
  readonly after?: { readonly studyInstanceUID: string; readonly sopInstanceUID: string };
}

/** Result of `retrieveStudy`. */
export interface RetrieveOutcome extends RetrieveProgress {
  /** `unsent`: the destination, or the gateway that reaches it, does not work, or ours could not read what was to be sent; what went before counts. */
  readonly end: 'sent' | 'cancelled' | 'unknownDestination' | 'unsent';
}

/** Input of `commitStorage`: one transaction of storage commitment, whose references lie on the gateway's disk. */
export interface CommitStorageInput extends CommitmentName {
  readonly callingAETitle: string;
  readonly calledAETitle: string;
  /** ISO 8601 UTC. */
  readonly receivedAt: string;
  readonly referenceCount: number;
  /** For how long instances are waited for that the archive does not have yet. */
  readonly waitMs: number;
}

/** Result of `commitStorage`. */
export interface CommitStorageOutcome {
  readonly committedCount: number;
  readonly failedCount: number;
  /** How the requestor was told; `never` when a person gave that up. */
  readonly told: 'sameAssociation' | 'newAssociation' | 'never';
}

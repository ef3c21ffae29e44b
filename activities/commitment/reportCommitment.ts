import { cancellationSignal } from '@temporalio/activity';
import { describeStatus, resend, statusClass } from '../../dicom/status.ts';
import { reportOf, tellPauseMs, type Commitment, type CommitmentName } from '../../domain/commitment.ts';
import type { DicomDestination } from '../../domain/tenant.ts';
import type { CommitmentDesk, CommitmentStore, Reporter, TenantStore } from '../../stores/ports.ts';
import { permanent } from '../failure.ts';
import { withHeartbeat } from '../heartbeat.ts';

export interface ReportCommitmentDeps {
  readonly desk: Pick<CommitmentDesk, 'tellOnItsAssociation'>;
  readonly commitments: CommitmentStore;
  readonly tenants: TenantStore;
  readonly report: Reporter;
  readonly firstRetryMs: number;
}

export interface ReportCommitmentInput extends CommitmentName {
  /** From 1. */
  readonly attempt: number;
}

export interface ReportCommitmentResult {
  /** Set when the requestor took the report. */
  readonly told?: 'sameAssociation' | 'newAssociation';
  /** Why it did not, and what to do. */
  readonly problem?: string;
  /** Trying again does not help. */
  readonly needsPerson?: boolean;
  /** When to try again. */
  readonly pauseMs: number;
}

/**
 * Tells the requestor what is committed (PS3.4 J.3.3): on the association that asked if that still stands, else on a new one to the DICOM destination
 * of its AE title at its gateway. A requestor may be told twice when this dies in between; the report is the same.
 */
export const createReportCommitment = (deps: ReportCommitmentDeps) =>
  async function reportCommitment({ attempt, ...name }: ReportCommitmentInput): Promise<ReportCommitmentResult> {
    const pauseMs = tellPauseMs(deps.firstRetryMs, attempt);
    const commitment = (await deps.commitments.get(name))?.value;
    if (!commitment) throw permanent('CommitmentMissing', `Transaction ${name.transactionUID} of gateway ${name.gatewayId} (tenant ${name.tenantId})`);
    return withHeartbeat(async () => {
      const onItsOwn = await deps.desk.tellOnItsAssociation(reportOf(commitment), cancellationSignal());
      if (onItsOwn !== undefined) return { ...outcomeOf(commitment, onItsOwn, 'sameAssociation'), pauseMs };
      return { ...await tellOnANewOne(deps, commitment), pauseMs };
    });
  };

type Outcome = Omit<ReportCommitmentResult, 'pauseMs'>;

async function tellOnANewOne(deps: ReportCommitmentDeps, commitment: Commitment): Promise<Outcome> {
  const { gatewayId, callingAETitle } = commitment;
  const requestor = await findRequestor(deps.tenants, commitment);
  if (!requestor) {
    return { needsPerson: true, problem: `${callingAETitle} asked for storage commitment, closed its association, and no DICOM destination of gateway ${gatewayId} has its AE title, so nobody knows where to tell it. Add it to the tenant's destinations.` };
  }
  try {
    return outcomeOf(commitment, await deps.report(requestor, reportOf(commitment), cancellationSignal()), 'newAssociation');
  } catch (error) {
    cancellationSignal().throwIfAborted();
    if (!(error instanceof Error) || error.name !== 'DestinationUnavailable') throw error;
    return { problem: `${callingAETitle} does not take its storage commitment report: ${error.message.replace(/\.$/, '')}.` };
  }
}

/** A requestor calls itself by one title and us by another: the report goes the other way round. */
async function findRequestor(tenants: TenantStore, { tenantId, gatewayId, callingAETitle, calledAETitle }: Commitment): Promise<DicomDestination | undefined> {
  const found = (await tenants.get(tenantId))?.value.destinations.find((each) => each.kind === 'dicom' && each.gatewayId === gatewayId && each.calledAETitle.trim() === callingAETitle.trim());
  return found?.kind === 'dicom' ? { ...found, callingAETitle: calledAETitle } : undefined;
}

function outcomeOf({ callingAETitle }: Commitment, status: number, how: NonNullable<Outcome['told']>): Outcome {
  const kind = statusClass(status);
  if (kind === 'success' || kind === 'warning') return { told: how };
  return { needsPerson: resend(status) === 'never', problem: `${callingAETitle} answered its storage commitment report by ${describeStatus(status)}.` };
}

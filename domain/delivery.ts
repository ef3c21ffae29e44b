/** How one instance fared at one destination. */
export interface InstanceDelivery {
  readonly sopInstanceUID: string;
  readonly sha256: string;
  readonly state: 'waiting' | 'delivered' | 'refused';
  readonly attempts: number;
  /** The last DIMSE status (PS3.4 B.2.3) or, for DICOMweb, the failure reason or HTTP status. */
  readonly lastStatus?: number;
  /** What an operator reads about the last attempt. */
  readonly lastProblem?: string;
  /** ISO 8601 UTC. */
  readonly lastAttemptAt?: string;
  readonly nextAttemptAt?: string;
  /** The flow that delivered it: a new explicit request sends again, a rule does not. */
  readonly deliveredBy?: string;
}

/** The ledger of one study at one destination: what was sent there, ever. One S3 object, replaced by If-Match. */
export interface DeliveryLedger {
  readonly tenantId: string;
  readonly destinationId: string;
  readonly studyInstanceUID: string;
  readonly updatedAt: string;
  readonly instances: readonly InstanceDelivery[];
}

/** The longest pause between two attempts. */
const maxRetryMs = 60 * 60 * 1000;

/**
 * How long to wait before a destination is tried again: doubling, at most an hour.
 *
 * @param attempt the attempt that failed, from 1
 */
export const retryDelayMs = (firstRetryMs: number, attempt: number): number =>
  Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(attempt - 1, 30));

import { UnsupportedMatch } from './ports.ts';

/** What a store was doing when it failed: tenant and key, never a patient attribute. */
export interface StoreContext {
  readonly tenantId: string;
  /** An object key, an index name or a UID. */
  readonly key: string;
}

/** A server's failure with the place it happened; `cause` is the error as it came. Retried unless a caller knows better. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
  readonly tenantId: string;
  readonly key: string;

  constructor(message: string, { tenantId, key }: StoreContext, options?: ErrorOptions) {
    super(`${message} (tenant ${tenantId}, ${key})`, options);
    this.tenantId = tenantId;
    this.key = key;
  }
}

/** Other bytes lie under a write-once key than the caller has. No retry cures it. */
export class ContentMismatch extends StoreError {
  override readonly name = 'ContentMismatch';
}

/**
 * Runs one store operation; what fails is wrapped with tenant and key. A cancelled operation throws an `AbortError`, so that
 * the caller's cancellation is seen as one.
 */
export async function inContext<T>(doing: string, context: StoreContext, run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    signal?.throwIfAborted();
    return await run();
  } catch (error) {
    if (signal?.aborted) throw abortError(error);
    if (error instanceof StoreError || error instanceof UnsupportedMatch) throw error;
    throw new StoreError(`${doing} failed: ${describe(error)}`, context, { cause: error });
  }
}

const abortError = (cause: unknown): Error =>
  cause instanceof Error && cause.name === 'AbortError' ? cause : new DOMException('The operation was cancelled', { name: 'AbortError', cause });

/** HTTP status of an error of the S3 SDK or of the OpenSearch client. */
export function statusOf(error: unknown): number | undefined {
  const { $metadata, statusCode } = (error ?? {}) as { readonly $metadata?: { readonly httpStatusCode?: number }; readonly statusCode?: number };
  return $metadata?.httpStatusCode ?? statusCode;
}

/** Name and status only where the server's own text could quote a document; S3 error names say enough. */
function describe(error: unknown): string {
  const status = statusOf(error);
  if (!(error instanceof Error)) return 'unknown error';
  const text = status === undefined ? error.message : `HTTP ${status}`;
  return error.name === 'Error' ? text : `${error.name}${text ? `, ${text}` : ''}`;
}

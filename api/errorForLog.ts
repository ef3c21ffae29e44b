import { statusOf } from '../stores/errors.ts';

/** An error as a log may have it. */
export interface LoggedError {
  readonly type: string;
  readonly message?: string;
  readonly code?: unknown;
  readonly serverStatus?: number;
  readonly frames: readonly string[];
  readonly cause?: LoggedError;
}

/**
 * Type, code and stack frames of an error and its causes. The text of a server's own error is left out, and so are
 * the properties that clients hang on their errors: both can quote a query, and with it a patient's name.
 */
export function errorForLog(error: unknown, depth = 4): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, frames: [] };
  const serverStatus = statusOf(error);
  return {
    type: error.name,
    ...(serverStatus === undefined ? { message: error.message } : { serverStatus }),
    ...('code' in error ? { code: error.code } : {}),
    frames: (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 8).map((line) => line.trim()),
    ...(error.cause === undefined || depth === 0 ? {} : { cause: errorForLog(error.cause, depth - 1) }),
  };
}

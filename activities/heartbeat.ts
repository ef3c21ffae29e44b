import { activityInfo, heartbeat } from '@temporalio/activity';

/** Well below the shortest heartbeat timeout in workflows/. */
const intervalMs = 5_000;

/**
 * Tells Temporal that the activity lives, also while one slow transfer gives no sign of progress.
 * `beat` sets the details that the next attempt resumes from; they start as those of the attempt before.
 */
export async function withHeartbeat<Details, T>(work: (resume: Details | undefined, beat: (details: Details) => void) => Promise<T>): Promise<T> {
  let details = activityInfo().heartbeatDetails as Details | undefined;
  const resume = details;
  const timer = setInterval(() => heartbeat(details), intervalMs);
  try {
    return await work(resume, (next) => {
      details = next;
      heartbeat(next);
    });
  } finally {
    clearInterval(timer);
  }
}

/**
 * The same activity, telling Temporal that it lives. Without it a killed worker is noticed only when all the time that the
 * activity may take is over.
 */
export const alive = <Args extends readonly unknown[], T>(activity: (...args: Args) => Promise<T>) =>
  (...args: Args): Promise<T> => withHeartbeat(() => activity(...args));

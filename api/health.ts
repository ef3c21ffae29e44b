import type { RequestHandler } from 'express';

/** One server that this API needs. */
export interface ReadinessCheck {
  readonly name: string;
  /** @throws when it does not answer */
  check(signal: AbortSignal): Promise<unknown>;
}

const checkTimeoutMs = 2_000;

/** The process runs. */
export const healthz: RequestHandler = (_request, response) => void response.json({ status: 'ok' });

/** The servers behind the API answer; 503 names those that do not. */
export const createReadyz = (checks: readonly ReadinessCheck[]): RequestHandler =>
  async function readyz(_request, response) {
    const states = await Promise.all(checks.map(async ({ name, check }) => [name, await answers(check) ? 'ok' : 'does not answer'] as const));
    const ready = states.every(([, state]) => state === 'ok');
    response.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable', checks: Object.fromEntries(states) });
  };

async function answers(check: ReadinessCheck['check']): Promise<boolean> {
  const signal = AbortSignal.timeout(checkTimeoutMs);
  const timeout = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }));
  return Promise.race([timeout, check(signal).then(() => true, () => false)]);
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Bucket } from './s3.ts';

/** Of the S3 client: signs a request so that the server takes it for a while only. */
interface Presigner {
  presign(request: { readonly method: string; readonly protocol: string; readonly hostname: string; readonly port?: number | undefined; readonly path: string;
    readonly query: Record<string, string>; readonly headers: Record<string, string> },
  options: { readonly signingDate: Date; readonly expiresIn: number }): Promise<{ readonly query?: Readonly<Record<string, unknown>> }>;
}

const attempts = 3;
/** The client's own time-out would let a request wait for longer than its warrant lasts. */
const timeoutMs = 20_000;

/**
 * Deletes an object by a request that is signed before it is sent and that the server refuses when it comes later than `until`: a process
 * that hung, was paused, or has a wrong clock, deletes nothing when it goes on. (SeaweedFS 4.48 answers 403 AccessDenied, "Request has
 * expired", as S3 does.) What is not there counts as deleted.
 *
 * @param now the server's time
 * @returns false when it was too late
 */
export async function deleteUntil(bucket: Bucket, key: string, now: Date, until: Date, signal?: AbortSignal): Promise<boolean> {
  const expiresIn = Math.floor((until.getTime() - now.getTime()) / 1000);
  if (expiresIn < 1) return false;
  const url = await signedUrl(bucket, key, now, expiresIn);
  for (let attempt = 1; ; attempt++) {
    const timeout = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method: 'DELETE', signal: signal ? AbortSignal.any([signal, timeout]) : timeout }).catch((error: unknown) => {
      if (signal?.aborted || attempt >= attempts) throw error;
      return undefined;
    });
    const text = response && !response.ok ? await response.text().catch(() => '') : '';
    if (response?.ok || response?.status === 404) return true;
    if (response?.status === 403 && /expired/i.test(text)) return false;
    if (response && (response.status < 500 || attempt >= attempts)) {
      throw Object.assign(new Error(`S3 answered ${response.status} to a delete`), { $metadata: { httpStatusCode: response.status } });
    }
    await sleep(200 * attempt, undefined, signal ? { signal } : {});
  }
}

async function signedUrl({ s3, bucket }: Bucket, key: string, signingDate: Date, expiresIn: number): Promise<string> {
  const { protocol, hostname, port, path } = await s3.config.endpoint!();
  const signer = await s3.config.signer() as unknown as Presigner;
  const host = port === undefined ? hostname : `${hostname}:${port}`;
  const target = `${path.replace(/\/$/, '')}/${bucket}/${key}`;
  const { query = {} } = await signer.presign({ method: 'DELETE', protocol, hostname, port, path: target, query: {}, headers: { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
    { signingDate, expiresIn });
  return `${protocol}//${host}${target}?${Object.entries(query).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`).join('&')}`;
}

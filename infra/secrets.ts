import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export type S3Keys = { readonly accessKeyId: string; readonly secretAccessKey: string };

/** The stack's own S3 keys: made once per `.pacs/`, readable by their owner alone. */
export function s3Keys(secretsFolder: string): S3Keys {
  return JSON.parse(secretFile(path.join(secretsFolder, 's3-keys.json'), () => JSON.stringify({
    accessKeyId: `PACS${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64url'),
  }))) as S3Keys;
}

/** The HS256 key of access tokens: 32 random bytes as base64url, made when missing. */
export const tokenKey = (file: string): Uint8Array =>
  Buffer.from(secretFile(file, () => randomBytes(32).toString('base64url')), 'base64url');

/** Two processes that both find it missing end up with the same content: a link never replaces a file. */
function secretFile(file: string, make: () => string): string {
  if (!existsSync(file)) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
    writeFileSync(draft, make(), { mode: 0o600 });
    try {
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft);
    }
  }
  return readFileSync(file, 'utf8').trim();
}

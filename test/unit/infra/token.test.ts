import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { jwtVerify } from 'jose';
import { s3Keys, tokenKey } from '../../../infra/secrets.ts';
import { signToken, TOKEN_AUDIENCE, TOKEN_ISSUER } from '../../../infra/token.ts';

describe('secrets and tokens', () => {
  let folder: string;
  beforeEach(() => { folder = mkdtempSync(path.join(process.env['PACS_TEST_HOME'] ?? '/tmp', 'token-')); });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('says who, for which tenants, in which roles and until when', async () => {
    const key = tokenKey(path.join(folder, 'token.key'));

    const token = await signToken({ sub: 'ada', tenants: ['demo'], roles: ['viewer'] }, key, '8h');

    const { payload } = await jwtVerify(token, key, { issuer: TOKEN_ISSUER, audience: TOKEN_AUDIENCE });
    assert.deepEqual([payload.sub, payload['tenants'], payload['roles']], ['ada', ['demo'], ['viewer']]);
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 8 * 3600);
  });

  it('keeps a key of 32 bytes that only its owner can read, and makes it once', () => {
    const file = path.join(folder, 'secrets', 'token.key');

    const first = tokenKey(file);

    assert.equal(first.length, 32);
    assert.deepEqual(tokenKey(file), first);
    assert.match(readFileSync(file, 'utf8'), /^[\w-]{43}$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it('gives each folder S3 keys of its own', () => {
    assert.notDeepEqual(s3Keys(path.join(folder, 'a')), s3Keys(path.join(folder, 'b')));
  });
});

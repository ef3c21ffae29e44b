import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StackError } from '../../../infra/native/parts.ts';
import { repairAfterReboot } from '../../../infra/native/s3Repair.ts';

describe('SeaweedFS after a power cut', () => {
  let folder: string;
  beforeEach(() => { folder = mkdtempSync(path.join(process.env['PACS_TEST_HOME'] ?? '/tmp', 's3-repair-')); });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const aWeed = (script: string): string => {
    const file = path.join(folder, 'weed');
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return file;
  };

  it('rebuilds the indexes once after the machine was started anew', () => {
    const data = path.join(folder, 'data');
    const weed = aWeed(`[ "$2 $3" = "fix ${data}" ] && touch ${folder}/fixed`);

    assert.equal(repairAfterReboot(weed, data, 'first'), false);
    assert.equal(repairAfterReboot(weed, data, 'first'), false);
    assert.equal(repairAfterReboot(weed, data, 'second'), true);
    assert.equal(existsSync(path.join(folder, 'fixed')), true);
    assert.equal(repairAfterReboot(weed, data, 'second'), false);
  });

  it('tries again when it failed, and says so', () => {
    const data = path.join(folder, 'data');
    const weed = aWeed('echo no space >&2; exit 1');
    repairAfterReboot(weed, data, 'first');

    assert.throws(() => repairAfterReboot(weed, data, 'second'), (error: Error) => error instanceof StackError && error.message.includes('no space'));
    assert.throws(() => repairAfterReboot(weed, data, 'second'), StackError);
  });
});

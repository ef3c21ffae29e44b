import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { removeTempFolders } from '../support/peers.ts';
import { badInputCases } from '../support/badInput.ts';
import { sharedPacs } from '../support/stack.ts';

/** A row of the table of bad input in docs/operations.md. */
interface Row { readonly id: string; readonly told: string; readonly where: string }

const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8');
const rows: readonly Row[] = [...text.matchAll(/^\| `([a-z0-9-]+)` \|(.+)\|$/gm)].map(([, id, rest]) => {
  const [told = '', where = ''] = rest!.split(' | ').map((cell) => cell.trim());
  return { id: id!, told, where };
});

describe('bad input, as docs/operations.md tells of it', function () {
  this.timeout(180_000);
  const pacs = sharedPacs();
  after(removeTempFolders);

  it('has a case for every row of the table, and a row for every case', () => {
    assert.ok(rows.length >= 20);
    assert.deepEqual(rows.map(({ id }) => id).toSorted(), Object.keys(badInputCases).toSorted());
  });

  for (const { id, told, where } of rows) {
    it(`${id}: the sender is told ${told}; it is ${where}`, async () => {
      const found = await badInputCases[id]!(pacs());

      assert.ok(told.includes(`\`${found.told}\``), `the sender was told ${found.told}, the table says ${told}`);
      assert.ok(where.startsWith(`**${found.where}**`), `it is ${found.where}, the table says ${where}`);
    });
  }
});

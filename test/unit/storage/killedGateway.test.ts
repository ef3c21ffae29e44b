import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { storeInstances, type InstanceToSend } from '../../../edge-gateway/scu/store.ts';
import { openPack } from '../../../edge-gateway/spool/reader.ts';
import { aGatewayProcess } from '../../support/gatewayProcess.ts';
import { aDataSet, aFolder, aSpool, ctImageStorage, filesIn, removeFolders, sha256 } from '../spool/support.ts';

const anInstance = (association: number, number: number) => {
  const sopInstanceUID = `1.2.3.${association}.${number}`;
  const dataSet = aDataSet({ sopInstanceUID, seriesInstanceUID: `1.2.3.${association}`, pixelBytes: 100_000 + 997 * number });
  const toSend: InstanceToSend = { sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian, open: async function* () { yield dataSet; } };
  return { toSend, digest: sha256(Buffer.concat([encodeFileMeta(toSend), dataSet])) };
};

const peerOf = (port: number) => ({ host: '127.0.0.1', port, calledAETitle: 'PACS', callingAETitle: 'CT1' });

/** Digests of everything in the spool after a restart, each checked against its bytes. */
async function kept(spoolDir: string): Promise<Set<string>> {
  const { told } = await aSpool(spoolDir);
  const digests = new Set<string>();
  for (const { pack } of told.flatMap((record) => [...record.packs.values()])) {
    const file = (await openPack(spoolDir, pack))!;
    for (const { offsetBytes, lengthBytes, sha256: digest } of file.instances) {
      assert.equal(sha256(await file.read(offsetBytes, lengthBytes)), digest);
      digests.add(digest);
    }
    await file.close();
  }
  return digests;
}

describe('gateway process', function () {
  this.timeout(30_000);
  const running: ChildProcess[] = [];
  after(async () => {
    for (const child of running) child.kill('SIGKILL');
    await removeFolders();
  });

  for (const killAfter of [1, 17, 60]) {
    it(`has every instance that it acknowledged when it is killed after ${killAfter}`, async () => {
      const spoolDir = await aFolder();
      const { child, dicomPort } = await aGatewayProcess(spoolDir);
      running.push(child);
      const acknowledged: string[] = [];
      const send = async (association: number): Promise<void> => {
        const instances = Array.from({ length: 100 }, (_, number) => anInstance(association, number));
        let next = 0;
        for await (const result of storeInstances(peerOf(dicomPort), instances.map(({ toSend }) => toSend))) {
          assert.equal(result.outcome === 'answered' && result.status, 0);
          acknowledged.push(instances[next++]!.digest);
          if (acknowledged.length === killAfter) child.kill('SIGKILL');
        }
      };

      await Promise.allSettled([1, 2, 3].map(send));
      const digests = await kept(spoolDir);

      assert.ok(acknowledged.length >= killAfter && acknowledged.length < 300);
      assert.deepEqual(acknowledged.filter((digest) => !digests.has(digest)), []);
      assert.ok(digests.size <= acknowledged.length + 3, 'only what was acknowledged or about to be');
    });
  }

  it('finishes what runs and closes its packs on SIGTERM, and is healthy without a cloud', async () => {
    const spoolDir = await aFolder();
    const { child, dicomPort, httpPort } = await aGatewayProcess(spoolDir);
    running.push(child);
    const instances = Array.from({ length: 20 }, (_, number) => anInstance(1, number));
    let answered = 0;
    const exited = once(child, 'exit');

    assert.equal((await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status, 200);
    for await (const result of storeInstances(peerOf(dicomPort), instances.map(({ toSend }) => toSend))) {
      assert.equal(result.outcome === 'answered' && result.status, 0);
      if (++answered === 5) child.kill('SIGTERM');
    }
    const [code] = await exited as [number];

    assert.equal(code, 0);
    const [associationId] = await filesIn(spoolDir);
    assert.deepEqual((await filesIn(`${spoolDir}/${associationId}`)).filter((name) => name.startsWith('open')), []);
    assert.equal((await kept(spoolDir)).size, 20);
  });
});

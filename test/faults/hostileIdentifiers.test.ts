import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { openPack } from '../../edge-gateway/spool/reader.ts';
import { readPackHeaders } from '../../stores/packs/packHeaders.ts';
import { command, commandUint16, echoRQ, pdu, pdv, releaseRQ, storeRQ } from '../support/scriptedPeer.ts';
import { aDataSet, aFolder, aSpool, type DataSetFields } from '../unit/spool/support.ts';
import { besiegedGateway } from './harness/besieged.ts';

/** A sequence within a sequence, so many deep, of undefined lengths. @param tag in hex, as its bytes come */
function nested(depth: number, tag: string): Buffer {
  const open = Buffer.from(`${tag}53510000fffffffffeff00e0ffffffff`, 'hex');
  const close = Buffer.from('feff0de000000000feffdde000000000', 'hex');
  return Buffer.concat([...Array<Buffer>(depth).fill(open), ...Array<Buffer>(depth).fill(close)]);
}

describe('UIDs that are none, and sequences without end', function () {
  this.timeout(60_000);
  const site = besiegedGateway();

  const send = async (sopInstanceUID: string, dataSet: Buffer): Promise<number | undefined> => {
    const peer = await site().associated();
    peer.send(command(3, storeRQ(1, sopInstanceUID)));
    for (let at = 0; at < dataSet.length; at += 100_000) peer.send(pdu(4, pdv(3, at + 100_000 >= dataSet.length ? 2 : 0, dataSet.subarray(at, at + 100_000))));
    const status = commandUint16((await peer.receive())!, 0x0900);
    peer.send(command(1, echoRQ(2)));
    assert.equal(commandUint16((await peer.receive())!, 0x0900), 0, 'the association goes on');
    peer.send(releaseRQ);
    assert.equal((await peer.receive())?.type, 6);
    peer.end();
    return status;
  };

  for (const uid of ['../../../../tmp/x', `1.${'2'.repeat(63)}`, '1.2\u00003', '', '1..2', 'DOE^JOHN']) {
    it(`answers 0117 for the Affected SOP Instance UID ${JSON.stringify(uid)}`, async () => {
      assert.equal(await send(uid, aDataSet({ sopInstanceUID: uid })), 0x0117);
      await site().oneLine(/no UID$/);
    });
  }

  for (const [status, fields] of [
    [0xc000, { studyInstanceUID: '../../../../tmp/x' }], [0xc000, { seriesInstanceUID: `1.${'2'.repeat(63)}` }], [0xc000, { studyInstanceUID: '1.2\u00003' }],
    [0xc000, { seriesInstanceUID: '' }], [0xc000, { studyInstanceUID: 'DOE^JOHN' }], [0xc000, { seriesInstanceUID: `1.${'2'.repeat(60_000)}` }], [0xa900, { sopInstanceUID: '../x' }],
  ] as const satisfies readonly (readonly [number, DataSetFields])[]) {
    it(`answers ${status.toString(16).toUpperCase()} for a data set with ${JSON.stringify(fields).slice(0, 60)}`, async () => {
      assert.equal(await send('1.2.3.4', aDataSet(fields)), status);
      await site().oneLine(/^Instance refused: /);
    });
  }

  const withNested = (sopInstanceUID: string, tag: string, before: string): Buffer => {
    const dataSet = aDataSet({ sopInstanceUID });
    const at = dataSet.indexOf(Buffer.from(before, 'hex'));
    return Buffer.concat([dataSet.subarray(0, at), nested(10_000, tag), dataSet.subarray(at)]);
  };

  it('answers C000 for sequences nested 10,000 deep before the Study Instance UID', async () => {
    assert.equal(await send('1.2.3.9999', withNested('1.2.3.9999', '08004011', '20000d00')), 0xc000);
    await site().oneLine(/^Instance refused: /);
  });

  it('takes sequences nested 10,000 deep behind it as they are; who reads the header says what is wrong', async () => {
    assert.equal(await send('1.2.3.10000', withNested('1.2.3.10000', '400030a7', 'e07f1000')), 0);

    const { told, spoolDir: copy } = await snapshot();
    let readCount = 0;
    const packs = told.flatMap(({ packs: states }) => [...states.values()].map(({ pack }) => pack));
    for (const pack of packs) {
      const file = (await openPack(copy, pack))!;
      const instances = file.instances.filter(({ sopInstanceUID }) => sopInstanceUID === '1.2.3.10000');
      for await (const header of readPackHeaders(file, instances)) {
        readCount++;
        assert.match(header.unreadable ?? '', /nested too deeply/);
      }
      await file.close();
    }
    assert.equal(readCount, 1);
    assert.deepEqual(site().incidents(), []);
  });

  it('has written to no place but its own folders', async () => {
    assert.deepEqual((await readdir(site().spoolDir)).filter((name) => !/^((trash-)?[0-9a-f-]{36}|commitments|kept.*)$/.test(name)), []);
  });

  /** What a copy of the spool holds when it is recovered. */
  async function snapshot() {
    const copy = await aFolder();
    await cp(site().spoolDir, copy, { recursive: true });
    return aSpool(copy);
  }
});

import assert from 'node:assert/strict';
import { openStorageSession } from '../../../edge-gateway/services/storage.ts';
import { DataSetInterrupted } from '../../../edge-gateway/services/service.ts';
import { openPack } from '../../../edge-gateway/spool/reader.ts';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { NoRoom } from '../../../edge-gateway/spool/watermark.ts';
import { aDataSet, aSpool, aStoreRequest, anAssociation, arriving, ctImageStorage, filesIn, quiet, removeFolders, type DataSetFields, type SpoolFixture } from '../spool/support.ts';

type StorageSession = Awaited<ReturnType<ReturnType<typeof openStorageSession>>>;
const roomy = { noRoom: (): NoRoom => undefined, mustStop: () => false, makeRoom: (): Promise<void> | undefined => undefined, wrote: () => undefined };

async function aSession(watermark = roomy): Promise<{ readonly fixture: SpoolFixture; readonly session: StorageSession; readonly associationId: string }> {
  const fixture = await aSpool();
  const info = anAssociation();
  return { fixture, associationId: info.associationId, session: await openStorageSession({ spool: fixture.spool, watermark, log: quiet })(info) };
}

const partTen = (dataSet: Buffer, sopInstanceUID = '1.2.3.4'): Buffer =>
  Buffer.concat([encodeFileMeta({ sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian }), dataSet]);

async function storedFiles(fixture: SpoolFixture): Promise<Buffer[]> {
  const files: Buffer[] = [];
  for (const { pack } of fixture.told.at(-1)!.packs.values()) {
    const file = await openPack(fixture.spoolDir, pack);
    for (const { offsetBytes, lengthBytes } of file!.instances) files.push(await file!.read(offsetBytes, lengthBytes));
    await file!.close();
  }
  return files;
}

describe('storage service', () => {
  after(removeFolders);

  it('stores an instance byte for byte and answers success', async () => {
    const { fixture, session } = await aSession();
    const dataSet = aDataSet({ pixelBytes: 530_000 });

    const response = await session.handle(aStoreRequest(arriving(dataSet)));
    await session.ended('released');

    assert.equal(response.status, 0x0000);
    assert.deepEqual(await storedFiles(fixture), [partTen(dataSet)]);
  });

  for (const [pixelBytes, fragmentBytes] of [[0, 1], [700, 7], [3_000_000, 65_536], [2_097_152, 1_000_003]] as const) {
    it(`keeps ${pixelBytes} bytes of pixels that come in fragments of ${fragmentBytes}`, async () => {
      const { fixture, session } = await aSession();
      const dataSet = aDataSet({ pixelBytes });

      await session.handle(aStoreRequest(arriving(dataSet, fragmentBytes)));
      await session.ended('released');

      assert.deepEqual(await storedFiles(fixture), [partTen(dataSet)]);
    });
  }

  it('takes an instance whose Series comes late through a side file', async () => {
    const { fixture, session, associationId } = await aSession();
    const dataSet = aDataSet({ earlyBytes: 2_500_000, pixelBytes: 100_001 });

    const response = await session.handle(aStoreRequest(arriving(dataSet)));
    await session.ended('released');

    assert.equal(response.status, 0);
    assert.deepEqual(await storedFiles(fixture), [partTen(dataSet)]);
    assert.deepEqual((await filesIn(`${fixture.spoolDir}/${associationId}`)).filter((name) => name.startsWith('side')), []);
  });

  const refused: readonly (readonly [string, number, DataSetFields])[] = [
    ['another SOP Instance', 0xa900, { sopInstanceUID: '1.2.3.5' }],
    ['another SOP Class', 0xa900, { sopClassUID: '1.2.840.10008.5.1.4.1.1.4' }],
    ['no SOP Instance UID', 0xa900, { sopInstanceUID: undefined }],
    ['no SOP Class UID', 0xa900, { sopClassUID: undefined }],
    ['no Study Instance UID', 0xc000, { studyInstanceUID: undefined }],
    ['no Series Instance UID', 0xc000, { seriesInstanceUID: undefined }],
    ['a Study Instance UID that is a path', 0xc000, { studyInstanceUID: '../../etc' }],
    ['a late Study Instance UID and another SOP Instance', 0xa900, { sopInstanceUID: '1.2.3.5', earlyBytes: 300_000 }],
  ];
  for (const [what, code, fields] of refused) {
    it(`refuses a data set with ${what} as ${code.toString(16).toUpperCase()} and goes on`, async () => {
      const { fixture, session } = await aSession();
      const good = aDataSet({ sopInstanceUID: '1.2.3.9' });

      const response = await session.handle(aStoreRequest(arriving(aDataSet(fields))));
      const next = await session.handle(aStoreRequest(arriving(good), { sopInstanceUID: '1.2.3.9' }));
      await session.ended('released');

      assert.equal(response.status, code);
      assert.ok(response.errorComment && response.errorComment.length <= 64);
      assert.equal(next.status, 0);
      assert.deepEqual(await storedFiles(fixture), [partTen(good, '1.2.3.9')]);
    });
  }

  it('refuses bytes that are no data set as C000', async () => {
    const { session } = await aSession();

    assert.equal((await session.handle(aStoreRequest(arriving(Buffer.alloc(5000, 0xff))))).status, 0xc000);
  });

  it('refuses what the command says wrongly', async () => {
    const { session } = await aSession();
    const dataSet = () => arriving(aDataSet({}));

    assert.equal((await session.handle(aStoreRequest(dataSet(), { sopInstanceUID: '1..2' }))).status, 0x0117);
    assert.equal((await session.handle(aStoreRequest(dataSet(), { sopClassUID: '1.2.840.10008.5.1.4.1.1.4' }))).status, 0x0122);
    assert.equal((await session.handle(aStoreRequest(undefined))).status, 0x0212);
  });

  it('leaves no folder when nothing was stored', async () => {
    const { fixture, session } = await aSession();

    await session.handle(aStoreRequest(arriving(aDataSet({ sopInstanceUID: '1.2' }))));
    await session.ended('aborted');

    assert.deepEqual(await filesIn(fixture.spoolDir), []);
    assert.deepEqual(fixture.told, []);
  });

  for (const [noRoom, comment] of [['diskFull', /disk/], ['spoolFull', /spool/]] as const) {
    it(`answers A700 without reading when there is no room: ${noRoom}`, async () => {
      const { fixture, session } = await aSession({ ...roomy, noRoom: () => noRoom });
      const stream = { ...arriving(aDataSet({})), consume: () => assert.fail('the data set was read') };

      const response = await session.handle(aStoreRequest(stream));

      assert.equal(response.status, 0xa700);
      assert.match(response.errorComment!, comment);
      assert.deepEqual(await filesIn(fixture.spoolDir), []);
    });
  }

  it('answers A700 when room runs out in the middle, and keeps what was there', async () => {
    let written = 0;
    const { fixture, session } = await aSession({ ...roomy, wrote: (bytes?: number) => { written += bytes!; return undefined; }, mustStop: () => written > 3_000_000 });
    const small = aDataSet({});
    await session.handle(aStoreRequest(arriving(small)));

    const response = await session.handle(aStoreRequest(arriving(aDataSet({ sopInstanceUID: '1.2.3.8', pixelBytes: 5_000_000 })), { sopInstanceUID: '1.2.3.8' }));
    await session.ended('released');

    assert.equal(response.status, 0xa700);
    assert.deepEqual(await storedFiles(fixture), [partTen(small)]);
  });

  it('keeps nothing of an instance whose association is lost in the middle', async () => {
    const { fixture, session } = await aSession();
    const first = aDataSet({});
    await session.handle(aStoreRequest(arriving(first)));

    const cut = arriving(aDataSet({ sopInstanceUID: '1.2.3.8', pixelBytes: 3_000_000 }), 16_384, new DataSetInterrupted('lost'));
    await assert.rejects(session.handle(aStoreRequest(cut, { sopInstanceUID: '1.2.3.8' })), DataSetInterrupted);
    await session.ended('lost');

    assert.deepEqual(await storedFiles(fixture), [partTen(first)]);
    assert.equal(fixture.told.at(-1)!.end!.how, 'lost');
  });
});

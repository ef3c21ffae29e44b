import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { releasePack } from '../../../edge-gateway/spool/reader.ts';
import { findWaiting } from '../../../edge-gateway/spool/waiting.ts';
import { aDataSet, aSpool, anAssociation, ctImageStorage, removeFolders } from './support.ts';

describe('spool: which instances wait in it', () => {
  after(removeFolders);

  it('those of open packs and of packs that the cloud has not released, also when a journal is gone', async () => {
    const fixture = await aSpool();
    const info = anAssociation();
    const session = fixture.spool.open(info);
    const store = async (sopInstanceUID: string, seriesInstanceUID: string): Promise<void> => {
      const identity = { sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian };
      const incoming = session.receive(identity);
      await incoming.push(Buffer.concat([encodeFileMeta(identity), aDataSet({ sopInstanceUID, seriesInstanceUID })]));
      await incoming.place({ studyInstanceUID: '1.2.3', seriesInstanceUID });
      await incoming.commit();
    };
    const waiting = async () => [...await findWaiting(fixture.spoolDir, new Set(['1.2.1', '1.2.2', '1.2.9']))].toSorted();
    await store('1.2.1', '1.1');
    await store('1.2.2', '1.2');
    await new Promise((resolve) => setTimeout(resolve, 150));

    const whileOpen = await waiting();
    await session.end('released');
    const closed = await waiting();
    const [first] = fixture.told.at(-1)!.packs.values();
    await releasePack(fixture.spoolDir, first!.pack);
    const released = await waiting();
    await rm(join(fixture.spoolDir, info.associationId, 'journal.jsonl'));
    await fixture.restarted();

    assert.deepEqual([whileOpen, closed, released.length, await waiting()], [['1.2.1', '1.2.2'], ['1.2.1', '1.2.2'], 1, released]);
  });
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import type { InstanceToSend } from '../../../stores/ports.ts';
import { createDicomSender } from '../../../workers/dicomSender.ts';
import { aDicomServer, closeDicomServers } from '../../support/aDicomServer.ts';
import { sha256 } from '../../support/pacsClient.ts';
import { aFile } from '../api/support.ts';

describe('DICOM sender', () => {
  afterEach(closeDicomServers);

  const send = async (port: number, bytes: readonly Buffer[]) => {
    const instance: InstanceToSend = { sopInstanceUID: '1.2.3.1.1', sopClassUID: '1.2.840.10008.5.1.4.1.1.2', transferSyntaxUID: '1.2.840.10008.1.2.1',
      lengthBytes: 1000, open: async () => Readable.from(bytes, { objectMode: false }) };
    const destination = { kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: 'PACS' } as const;
    return Array.fromAsync(createDicomSender('US').send(destination, [instance], new AbortController().signal));
  };

  it('sends the data set, whatever pieces the file comes in', async () => {
    const { port, kept } = await aDicomServer();
    const file = aFile();
    const meta = parseFileMeta(file);
    const dataSet = file.subarray('needMore' in meta ? 0 : meta.dataSetOffsetBytes);

    await send(port, [file]);
    await send(port, Array.from({ length: Math.ceil(file.length / 7) }, (_, at) => file.subarray(7 * at, 7 * at + 7)));

    assert.deepEqual(kept.map((each) => each.sha256), Array(2).fill(sha256(dataSet)));
  });

  it('offers nothing of a file that ends before its data set begins', async () => {
    const { port, kept } = await aDicomServer();

    await assert.rejects(send(port, [aFile().subarray(0, 200)]), /ends within its File Meta Information/);

    assert.deepEqual(kept, []);
  });
});

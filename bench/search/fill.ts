import { encodeDataSet } from '../../dicom/part10/dataSetWriter.ts';
import { encodeFileMeta } from '../../dicom/part10/fileMeta.ts';
import type { Stack } from '../../infra/native/stack.ts';
import { indexNames } from '../../domain/keys.ts';
import { createOpenSearch, writeDocuments, type DocumentWrite } from '../../stores/opensearch/openSearch.ts';
import { documentWrites } from '../../stores/opensearch/studyDocuments.ts';
import type { PeerSystem } from '../peers.ts';
import { madeDocuments, madeStudy } from './madeStudies.ts';

export const madeTenant = 'demo';
const indices = [indexNames.studies, indexNames.series, indexNames.instances];

/** Writes the documents of made studies, from one number up to another, and has searches see them. */
export async function fillIndex(stack: Stack, from: number, to: number): Promise<void> {
  const client = createOpenSearch({ url: stack.urls.opensearch });
  const refreshEvery = (interval: string | null) => client.indices.putSettings({ index: indices, body: { index: { refresh_interval: interval } } as never });
  try {
    await refreshEvery('-1');
    await writeDocuments(client, madeTenant, writes(from, to), false);
    await refreshEvery('1s');
    await client.indices.refresh({ index: indices });
  } finally {
    await client.close();
  }
}

function* writes(from: number, to: number): Iterable<DocumentWrite> {
  for (let number = from; number < to; number++) yield* documentWrites(madeDocuments(madeTenant, number), 1);
}

/** Bytes of the three indices on disk, once what was deleted or is small has been merged as far as it is by itself. */
export async function indexBytes(stack: Stack): Promise<number> {
  const client = createOpenSearch({ url: stack.urls.opensearch });
  try {
    const { body } = await client.indices.stats({ index: indices, metric: ['store'] });
    return body._all?.primaries?.store?.size_in_bytes ?? 0;
  } finally {
    await client.close();
  }
}

const uploadsAtOnce = 4;

/** The same studies as Part 10 files without pictures. */
export async function fillOrthanc({ httpPort }: PeerSystem, from: number, to: number): Promise<void> {
  let next = from;
  await Promise.all(Array.from({ length: uploadsAtOnce }, async () => {
    for (let number = next++; number < to; number = next++) {
      const { dataSet } = madeStudy(number);
      const meta = encodeFileMeta({ sopClassUID: String(dataSet['00080016']?.Value?.[0]), sopInstanceUID: String(dataSet['00080018']?.Value?.[0]), transferSyntaxUID: '1.2.840.10008.1.2.1' });
      const answer = await fetch(`http://127.0.0.1:${httpPort}/instances`, { method: 'POST', body: new Uint8Array(Buffer.concat([meta, encodeDataSet(dataSet)])) });
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`Orthanc answered an upload with HTTP status ${answer.status}`);
    }
  }));
}

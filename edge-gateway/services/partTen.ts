import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';

/**
 * The data set of a Part 10 file as it streams: what follows the File Meta Information (PS3.10 7.1). That has been read when this
 * resolves, so a file that is none, or never comes, is known before a message is begun.
 *
 * @throws PartTenError; what the file's bytes throw
 */
export async function dataSetOf(file: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Buffer>> {
  const pieces = file[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (;;) {
    const meta = parseFileMeta(head);
    if (!('needMore' in meta)) return rest(head.subarray(meta.dataSetOffsetBytes), pieces);
    const next = await pieces.next();
    if (next.done) throw new Error('The file ends within its File Meta Information');
    head = Buffer.concat([head, next.value]);
  }
}

async function* rest(first: Buffer, pieces: AsyncIterator<Uint8Array>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first;
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
      yield Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
  } finally {
    await pieces.return?.();
  }
}

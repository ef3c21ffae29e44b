import { readInstanceHeader, type ByteSource } from '../../dicom/part10/header.ts';
import type { InstanceHeader, PackedInstance } from '../../domain/instance.ts';
import type { PackFile } from '../ports.ts';

/**
 * Reads the header of every instance of a pack out of its tar, one after the other, in the order given. Pixels are
 * not read. An instance whose bytes are no data set comes as `unreadable`; only what reading the file throws is thrown.
 */
export async function* readPackHeaders(file: PackFile, instances: readonly PackedInstance[]): AsyncGenerator<InstanceHeader> {
  for (const instance of instances) {
    const { header, pixelData, unreadable } = await readInstanceHeader(sliceOf(file, instance));
    yield {
      ...instance,
      header,
      ...(pixelData === undefined ? {} : { pixelData }),
      ...(unreadable === undefined ? {} : { unreadable }),
    };
  }
}

/** The bytes of one instance, as if it were a file of its own. */
const sliceOf = (file: PackFile, { offsetBytes, lengthBytes }: PackedInstance): ByteSource => ({
  lengthBytes,
  read: (at, length) => file.read(offsetBytes + at, Math.max(0, Math.min(length, lengthBytes - at))),
});

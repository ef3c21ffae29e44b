import assert from 'node:assert/strict';
import fc from 'fast-check';
import { propertiesOf, readers, type Readers, type Title } from './properties.ts';

/** Runs end after this, whatever the machine; fast-check prints the seed and the smallest counterexample of a failure. */
const bounds = { numRuns: 5_000, interruptAfterTimeLimit: 6_000, markInterruptAsFailure: false } as const;

describe('whatever bytes come', function () {
  this.timeout(60_000);

  for (const [title, property] of Object.entries(propertiesOf(readers))) {
    it(title, async () => {
      await fc.assert(property as fc.IAsyncProperty<unknown>, bounds);
    });
  }
});

const withoutSingleBytes = (pieces: Iterable<Buffer>): readonly Buffer[] => [...pieces].filter(({ length }) => length !== 1);

/** A fault for each property, as a reader might have it. */
const mutants: Readonly<Record<Title, Partial<Readers>>> = {
  'PDUs and messages read the same however they are cut, and fail with InvalidPdu alone': { readStream: (pieces) => readers.readStream(withoutSingleBytes(pieces)) },
  'a command set fails with InvalidPdu alone': { decodeCommandSet: (bytes) => {
    if (bytes.length >= 8 && bytes.readUInt32LE(4) + 8 > bytes.length) bytes.readUInt8(bytes.readUInt32LE(4) + 7);
    return readers.decodeCommandSet(bytes);
  } },
  'the identity scanner never throws and finds the same however the data set is cut': { scan: (pieces, uid) => readers.scan(withoutSingleBytes(pieces), uid) },
  'file meta fails with PartTenError alone': { parseFileMeta: (bytes) => {
    bytes[bytes.length - 1]!.toString();
    return readers.parseFileMeta(bytes);
  } },
  'the header reader says what is wrong and does not throw': { readInstanceHeader: async (source) => {
    const header = await readers.readInstanceHeader(source);
    if (header.transferSyntaxUID === undefined) throw new RangeError('read past the end');
    return header;
  } },
  'a scan of the spool never throws and takes nothing but bytes of the digest that was promised': { findWholeEntries: async (_, promised) =>
    promised.map(({ sopInstanceUID, lengthBytes, sha256, offsetBytes }) => ({ entry: { name: `${sopInstanceUID}.dcm`, lengthBytes, sha256 }, offsetBytes: offsetBytes - 1_536, headerIsWhole: true })) },
  'a manifest read from a tar fails with PackUnreadable or PartTenError alone': { readManifest: async (file, endBytes) => {
    const manifest = await readers.readManifest(file, endBytes).catch(() => undefined);
    return manifest!.slice();
  } },
};

describe('each of these properties', function () {
  this.timeout(60_000);

  for (const [title, broken] of Object.entries(mutants) as [Title, Partial<Readers>][]) {
    it(`fails on a broken reader: ${title}`, async () => {
      const { failed } = await fc.check(propertiesOf({ ...readers, ...broken })[title] as fc.IAsyncProperty<unknown>, { ...bounds, numRuns: 2_000 });

      assert.ok(failed, 'a reader with a fault passes');
    });
  }
});

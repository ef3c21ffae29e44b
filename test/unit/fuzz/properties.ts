import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { PartTenError, parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { IdentityScanner } from '../../../dicom/part10/identity.ts';
import { encodeEntryHeader, endOfArchive, entryHeaderBytes, paddedLength } from '../../../domain/packTar.ts';
import type { PackedInstance } from '../../../domain/instance.ts';
import { decodeCommandSet } from '../../../edge-gateway/dimse/command.ts';
import { MessageReader } from '../../../edge-gateway/dimse/message.ts';
import { PackUnreadable, findWholeEntries, readManifest } from '../../../edge-gateway/spool/tarScan.ts';
import { InvalidPdu } from '../../../edge-gateway/upper-layer/fields.ts';
import { PduReader } from '../../../edge-gateway/upper-layer/pduReader.ts';
import { abortPdu, associateRQ, command, echoRQ, pdu, pdv, releaseRQ, storeRQ } from '../../support/scriptedPeer.ts';
import { BufferSource, deflated, encode, explicitBE, explicitLE, file, identityElements, implicitLE, layoutOf } from '../dicom/dataSetBytes.ts';

/** One change to valid bytes, at a place given as a fraction of their length. */
const mutation = fc.record({
  kind: fc.constantFrom('byte', 'length', 'insert', 'remove', 'repeat', 'cut'),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  bytes: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 12 }),
    fc.constantFrom('00000000', 'ffffffff', 'feffffff', '7fffffff', '0000ffff', '00000001').map((hex) => Buffer.from(hex, 'hex'))),
});
type Mutation = (typeof mutation) extends fc.Arbitrary<infer T> ? T : never;

function mutated(valid: Buffer, { kind, place, bytes }: Mutation): Buffer {
  const at = Math.floor(place * valid.length);
  const [before, behind] = [valid.subarray(0, at), valid.subarray(at)];
  if (kind === 'cut') return before;
  if (kind === 'insert') return Buffer.concat([before, bytes, behind]);
  if (kind === 'remove') return Buffer.concat([before, behind.subarray(bytes.length)]);
  if (kind === 'repeat') return Buffer.concat([before, behind, behind]);
  return Buffer.concat([before, kind === 'byte' ? bytes.subarray(0, 1) : bytes, behind.subarray(kind === 'byte' ? 1 : bytes.length)]);
}

/** Valid bytes with up to six changes, or arbitrary ones. */
const bytesNear = (...valid: readonly Buffer[]): fc.Arbitrary<Buffer> => fc.oneof(
  { weight: 9, arbitrary: fc.tuple(fc.constantFrom(...valid), fc.array(mutation, { maxLength: 6 })).map(([bytes, changes]) => changes.reduce(mutated, bytes)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)) });
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

/** Copies of consecutive pieces; the lengths are taken in turn. */
function* inPieces(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + lengths[turn % lengths.length]!;
    yield Buffer.from(bytes.subarray(at, end));
    at = end;
  }
}

/** What the PDU reader and the message reader behind it report up to the first `InvalidPdu`. */
function readStream(pieces: Iterable<Buffer>): readonly string[] {
  const seen: string[] = [];
  let joined = '';
  const messages = new MessageReader(({ command: set }) => void seen.push(JSON.stringify(set)));
  const reader = new PduReader({
    pdu: (read) => void seen.push(JSON.stringify(read)),
    data: () => true,
    fragment: (contextId, control, bytes, ends) => {
      // A data set is left unread here, so its channel holds the bytes back; this reader goes on.
      void messages.fragment(contextId, control, bytes, ends);
      joined += bytes.toString('hex');
      if (ends) seen.push(`${contextId}/${control} ${joined}`);
      if (ends) joined = '';
    },
  }, { maxLengthBytes: 4_000, maxAssociateLengthBytes: 10_000 });
  try {
    for (const piece of pieces) void reader.push(piece);
  } catch (error) {
    if (!(error instanceof InvalidPdu)) throw error;
    seen.push(`${error.reason} ${error.message}`);
  }
  return seen;
}

function scan(pieces: Iterable<Buffer>, transferSyntaxUID: string) {
  const scanner = new IdentityScanner(transferSyntaxUID);
  for (const piece of pieces) scanner.push(piece);
  scanner.end();
  return { state: scanner.state, result: scanner.result, problem: scanner.problem };
}

const only = async (types: readonly (new (...args: never[]) => Error)[], read: () => unknown): Promise<void> => {
  try {
    await read();
  } catch (error) {
    assert.ok(types.some((type) => error instanceof type), `${String(error)} is none of ${types.map(({ name }) => name).join()}`);
  }
};

/** As much of a file as the spool's tar scan reads it by. */
const fileOf = (bytes: Buffer): FileHandle => ({
  stat: async () => ({ size: bytes.length }),
  read: async (into: Buffer, at: number, lengthBytes: number, position: number) => ({ bytesRead: bytes.copy(into, at, position, position + lengthBytes) }),
}) as unknown as FileHandle;
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const stream = Buffer.concat([
  associateRQ(), command(1, echoRQ(1)), pdu(4, Buffer.concat([pdv(1, 1, echoRQ(3).subarray(0, 20)), pdv(1, 3, echoRQ(3).subarray(20))])), releaseRQ, abortPdu,
]);
const stored = Buffer.concat([associateRQ(), command(1, storeRQ(1)), pdu(4, pdv(1, 0, Buffer.alloc(60, 1))), pdu(4, pdv(1, 2, Buffer.alloc(30, 2))), command(1, echoRQ(2)), releaseRQ]);
const dataSetIn = (transferSyntaxUID: string): Buffer => {
  const bytes = encode([...identityElements(), { tag: 0x00200013, vr: 'IS', value: '1' }], layoutOf(transferSyntaxUID));
  return transferSyntaxUID === deflated ? deflateRawSync(bytes) : bytes;
};
const syntaxes = [explicitLE, implicitLE, explicitBE, deflated] as const;
const files = syntaxes.map((transferSyntaxUID) => file(dataSetIn(transferSyntaxUID), transferSyntaxUID));

const padding = (bytes: Buffer): Buffer => Buffer.alloc(paddedLength(bytes.length) - bytes.length);
const entriesOf = files.map((bytes, index) => Buffer.concat([encodeEntryHeader({ name: `1.2.${index}.dcm`, lengthBytes: bytes.length, sha256: sha256(bytes) }), bytes, padding(bytes)]));
/** A pack as the spool writes it, and what its journal promised of it. */
const tar = Buffer.concat([...entriesOf, endOfArchive()]);
const promised: readonly PackedInstance[] = files.map((bytes, index) => ({
  sopInstanceUID: `1.2.${index}`, sopClassUID: '1.2.840.10008.5.1.4.1.1.2', transferSyntaxUID: syntaxes[index]!, lengthBytes: bytes.length, sha256: sha256(bytes),
  offsetBytes: entriesOf.slice(0, index).reduce((sum, { length }) => sum + length, entryHeaderBytes),
}));

/** What is read of bytes that a peer sent or a disk gave back. A test puts broken ones in their place to see the properties fail. */
export const readers = { readStream, decodeCommandSet, scan, parseFileMeta, readInstanceHeader, findWholeEntries, readManifest } as const;
export type Readers = typeof readers;

/** What must hold for whatever bytes come. Each is one fast-check property, by the title of its test. */
export const propertiesOf = (of: Readers) => ({
  'PDUs and messages read the same however they are cut, and fail with InvalidPdu alone': fc.asyncProperty(
    bytesNear(stream, stored), cuts, async (bytes, lengths) => assert.deepEqual(of.readStream(inPieces(bytes, lengths)), of.readStream([bytes]))),
  'a command set fails with InvalidPdu alone': fc.asyncProperty(
    bytesNear(echoRQ(1), storeRQ(1)), (bytes) => only([InvalidPdu], () => of.decodeCommandSet(bytes))),
  'the identity scanner never throws and finds the same however the data set is cut': fc.asyncProperty(
    fc.constantFrom(...syntaxes).chain((uid) => fc.tuple(fc.constant(uid), bytesNear(dataSetIn(uid)))), cuts,
    async ([uid, bytes], lengths) => assert.deepEqual(of.scan(inPieces(bytes, lengths), uid), of.scan([bytes], uid))),
  'file meta fails with PartTenError alone': fc.asyncProperty(bytesNear(...files), (bytes) => only([PartTenError], () => of.parseFileMeta(bytes))),
  'the header reader says what is wrong and does not throw': fc.asyncProperty(bytesNear(...files), async (bytes) => {
    await of.readInstanceHeader(new BufferSource(bytes));
  }),
  'a scan of the spool never throws and takes nothing but bytes of the digest that was promised': fc.asyncProperty(bytesNear(tar), async (bytes) => {
    for (const { entry, offsetBytes } of await of.findWholeEntries(fileOf(bytes), promised)) {
      const begin = offsetBytes + entryHeaderBytes;
      assert.equal(sha256(bytes.subarray(begin, begin + entry.lengthBytes)), entry.sha256);
    }
  }),
  'a manifest read from a tar fails with PackUnreadable or PartTenError alone': fc.asyncProperty(bytesNear(tar),
    (bytes) => only([PackUnreadable, PartTenError], () => of.readManifest(fileOf(bytes), Math.max(0, bytes.length - endOfArchive().length)))),
}) as const;
export type Title = keyof ReturnType<typeof propertiesOf>;

import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { PartTenError, parseFileMeta } from '../../../dicom/part10/fileMeta.ts';
import { readInstanceHeader } from '../../../dicom/part10/header.ts';
import { IdentityScanner } from '../../../dicom/part10/identity.ts';
import { decodeCommandSet } from '../../../edge-gateway/dimse/command.ts';
import { MessageReader } from '../../../edge-gateway/dimse/message.ts';
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

const only = (type: new (...args: never[]) => Error, read: () => unknown): void => {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof type, `${String(error)} is no ${type.name}`);
  }
};

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

/** What must hold for whatever bytes come. Each is one fast-check property, by the title of its test. */
export const properties: Readonly<Record<string, fc.IAsyncProperty<unknown> | fc.IProperty<unknown>>> = {
  'PDUs and messages read the same however they are cut, and fail with InvalidPdu alone': fc.property(
    bytesNear(stream, stored), cuts, (bytes, lengths) => assert.deepEqual(readStream(inPieces(bytes, lengths)), readStream([bytes]))),
  'a command set fails with InvalidPdu alone': fc.property(
    bytesNear(echoRQ(1), storeRQ(1)), (bytes) => only(InvalidPdu, () => decodeCommandSet(bytes))),
  'the identity scanner never throws and finds the same however the data set is cut': fc.property(
    fc.constantFrom(...syntaxes).chain((uid) => fc.tuple(fc.constant(uid), bytesNear(dataSetIn(uid)))), cuts,
    ([uid, bytes], lengths) => assert.deepEqual(scan(inPieces(bytes, lengths), uid), scan([bytes], uid))),
  'file meta fails with PartTenError alone': fc.property(bytesNear(...files), (bytes) => only(PartTenError, () => parseFileMeta(bytes))),
};

/** The header reader reports what is wrong in its result. @throws what it throws, which is a finding */
export const headerProperty = fc.asyncProperty(bytesNear(...files), async (bytes) => {
  await readInstanceHeader(new BufferSource(bytes));
});

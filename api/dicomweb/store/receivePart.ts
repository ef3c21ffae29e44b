import { encodeFileMeta, parseFileMeta, PartTenError, type FileMeta } from '../../../dicom/part10/fileMeta.ts';
import { IdentityScanner, type IdentityState } from '../../../dicom/part10/identity.ts';
import { isUidShaped } from '../../../dicom/uid.ts';
import type { PackedInstance } from '../../../domain/instance.ts';
import { maxEntryBytes } from '../../../domain/packTar.ts';
import { parseMediaRange } from '../accept.ts';
import type { Part } from './multipartParser.ts';
import { storeReasons } from './storeReasons.ts';
import { LateHash, type SpooledBytes, type StowSpool } from './stowSpool.ts';

/** An instance that lies in the spool. */
export interface ReceivedInstance extends Omit<PackedInstance, 'offsetBytes'> {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly fileMetaBytes: number;
  readonly dataSet: SpooledBytes;
}

/** A part, or an instance, that is not stored. */
export interface Refusal {
  readonly reason: number;
  /** Absent when the part does not say who it is. */
  readonly instance?: { readonly sopClassUID: string; readonly sopInstanceUID: string };
}

export type ReceivedPart = { readonly kind: 'received'; readonly instance: ReceivedInstance } | { readonly kind: 'refused'; readonly refusal: Refusal };

export const refused = (reason: number, instance?: Refusal['instance']): ReceivedPart =>
  ({ kind: 'refused', refusal: { reason, ...(instance ? { instance } : {}) } });

/**
 * Takes one part: reads its file meta, finds its UIDs as the data set goes to disk, and gives it the file meta that
 * every sender's copy of this data set gets. A part that is no instance is read to its end and refused; its siblings go on.
 *
 * @param studyInstanceUID the only study that the request may store to
 * @throws HttpProblem 413
 */
export async function receivePart(part: Part, spool: StowSpool, studyInstanceUID: string | undefined): Promise<ReceivedPart> {
  const type = parseMediaRange(part.headers.get('content-type') ?? 'application/dicom')?.type;
  if (type !== 'application/dicom') return refused(storeReasons.notUnderstood);
  const opened = await openFile(part.body);
  if (!opened) return refused(storeReasons.notUnderstood);
  const { meta, firstBytes } = opened;
  const scanner = new IdentityScanner(meta.transferSyntaxUID);
  const writer = spool.writer();
  const hash = new LateHash();
  const take = async (piece: Buffer): Promise<void> => {
    await writer.write(piece);
    hash.push(piece);
    if (stateOf(scanner) !== 'scanning') return;
    scanner.push(piece);
    const fileMeta = stateOf(scanner) === 'found' ? fileMetaOf(scanner, meta) : undefined;
    if (fileMeta) hash.start(fileMeta);
  };
  await take(firstBytes);
  for await (const piece of part.body) {
    await take(piece);
    if (scanner.state === 'absent' || scanner.state === 'unreadable') return refused(storeReasons.notUnderstood);
  }
  scanner.end();
  return stateOf(scanner) === 'found' ? keep(scanner, meta, writer, hash, spool, studyInstanceUID) : refused(storeReasons.notUnderstood);
}

const stateOf = (scanner: IdentityScanner): IdentityState => scanner.state;

async function keep(scanner: IdentityScanner, meta: FileMeta, writer: { keep(): Promise<SpooledBytes> }, hash: LateHash, spool: StowSpool, onlyStudy: string | undefined): Promise<ReceivedPart> {
  const { sopClassUID = '', sopInstanceUID = '', studyInstanceUID = '', seriesInstanceUID = '' } = scanner.result;
  if (![sopClassUID, sopInstanceUID, studyInstanceUID, seriesInstanceUID, meta.transferSyntaxUID].every(isUidShaped)) return refused(storeReasons.notUnderstood);
  const who = { sopClassUID, sopInstanceUID };
  if (onlyStudy !== undefined && studyInstanceUID !== onlyStudy) return refused(storeReasons.otherStudy, who);
  const dataSet = await writer.keep();
  const fileMeta = encodeFileMeta({ ...who, transferSyntaxUID: meta.transferSyntaxUID });
  const lengthBytes = fileMeta.length + dataSet.lengthBytes;
  if (lengthBytes > maxEntryBytes) return refused(storeReasons.outOfResources, who);
  const sha256 = await hash.digest(fileMeta, spool, dataSet);
  return { kind: 'received', instance: {
    ...who, studyInstanceUID, seriesInstanceUID, transferSyntaxUID: meta.transferSyntaxUID, lengthBytes, sha256, fileMetaBytes: fileMeta.length, dataSet,
  } };
}

const fileMetaOf = ({ result: { sopClassUID = '', sopInstanceUID = '' } }: IdentityScanner, { transferSyntaxUID }: FileMeta): Buffer | undefined =>
  sopClassUID && sopInstanceUID ? encodeFileMeta({ sopClassUID, sopInstanceUID, transferSyntaxUID }) : undefined;

/** @returns undefined when the part is no Part 10 file */
async function openFile(body: AsyncGenerator<Buffer>): Promise<{ readonly meta: FileMeta; readonly firstBytes: Buffer } | undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  try {
    for (let next = await body.next(); !next.done; next = await body.next()) {
      bytes = bytes.length === 0 ? next.value : Buffer.concat([bytes, next.value]);
      const meta = parseFileMeta(bytes);
      if (!('needMore' in meta)) return { meta, firstBytes: bytes.subarray(meta.dataSetOffsetBytes) };
    }
  } catch (error) {
    if (!(error instanceof PartTenError)) throw error;
  }
  return undefined;
}

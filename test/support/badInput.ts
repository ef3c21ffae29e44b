import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { storeInstances, type InstanceToSend, type StoreResult } from '../../edge-gateway/scu/store.ts';
import { openStorageSession } from '../../edge-gateway/services/storage.ts';
import { BatchWriter } from '../../edge-gateway/spool/batchWriter.ts';
import { startStack } from '../../infra/native/stack.ts';
import { aFile, aMultipart, multipartType } from '../unit/api/support.ts';
import { encode, header, layoutOf, type Element, type Layout } from '../unit/dicom/dataSetBytes.ts';
import { quiet } from '../unit/spool/support.ts';
import { aUID } from './aStudy.ts';
import { tempFolder } from './peers.ts';
import { eventually, type Pacs } from './stack.ts';

/** What became of bad input. */
export interface Found {
  /** Status of the C-STORE response in hex, `context n` (PS3.8 Table 9-18), `HTTP n`, or `no answer`. */
  readonly told: string;
  readonly where: 'current' | 'quarantined' | 'conflict' | 'nowhere';
}
type Case = (pacs: Pacs) => Promise<Found>;

const ct = '1.2.840.10008.5.1.4.1.1.2';
const explicitLE = '1.2.840.10008.1.2.1';
const deflated = '1.2.840.10008.1.2.1.99';
const explicitBE = '1.2.840.10008.1.2.2';

interface Bad {
  readonly study: string;
  readonly series: string;
  readonly instance: string;
  readonly sopClass: string;
  readonly commandInstance: string;
  readonly commandClass: string;
  readonly syntax: string;
  readonly pixels: Buffer;
  readonly extra: readonly Element[];
  readonly dataSet: (bytes: Buffer) => Buffer;
}

const us = (tag: number, value: number, layout: Layout): Element => {
  const bytes = Buffer.alloc(2);
  if (layout.bigEndian) bytes.writeUInt16BE(value);
  else bytes.writeUInt16LE(value);
  return { tag, vr: 'US', value: bytes };
};

/** A small CT image that is wrong in the way that is given. */
function anInstance(given: Partial<Bad> = {}): InstanceToSend & { readonly study: string; readonly instance: string; open(): AsyncIterable<Buffer> } {
  const { study = aUID(), series = aUID(), instance = aUID(), sopClass = ct, syntax = explicitLE, pixels = randomBytes(32), extra = [], dataSet = (bytes) => bytes } = given;
  const layout = syntax === explicitBE ? { bigEndian: true } : layoutOf(explicitLE);
  const elements: Element[] = [
    ...extra.filter(({ tag }) => tag < 0x00080016),
    { tag: 0x00080016, vr: 'UI', value: sopClass }, { tag: 0x00080018, vr: 'UI', value: instance }, { tag: 0x00080060, vr: 'CS', value: 'CT' },
    { tag: 0x00100020, vr: 'LO', value: 'P1' }, { tag: 0x0020000d, vr: 'UI', value: study }, ...(series === '' ? [] : [{ tag: 0x0020000e, vr: 'UI', value: series }]),
    us(0x00280002, 1, layout), us(0x00280010, 4, layout), us(0x00280011, 4, layout), us(0x00280100, 16, layout), { tag: 0x7fe00010, vr: 'OW', value: pixels },
  ];
  const bytes = dataSet(encode(elements, layout));
  return { study, instance, sopInstanceUID: given.commandInstance ?? instance, sopClassUID: given.commandClass ?? sopClass, transferSyntaxUID: syntax,
    open: async function* () { if (bytes.length > 0) yield bytes; } };
}

async function send(pacs: Pacs, instances: readonly InstanceToSend[]): Promise<readonly StoreResult[]> {
  const { host, port, aeTitle } = pacs.stack.urls.dicom;
  return Array.fromAsync(storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'BAD' }, instances));
}

const toldOf = (result: StoreResult | undefined): string =>
  (!result ? 'no answer' : result.outcome !== 'answered' ? `context ${'contextResult' in result ? result.contextResult : '?'}` : result.status.toString(16).toUpperCase().padStart(4, '0'));

/** What readers and admins find of an instance once a sibling that was sent after it is found. */
async function whereOf({ api }: Pacs, study: string, instance: string): Promise<Found['where']> {
  const aside = (await api.setAside(study)).find((each) => each.sopInstanceUID === instance);
  if (aside?.verdict === 'quarantined' || aside?.verdict === 'conflict') return aside.verdict;
  return (await api.call(`dicom-web/studies/${study}/instances?SOPInstanceUID=${instance}`)).status === 200 ? 'current' : 'nowhere';
}

/** Sends a bad instance and a good sibling of its study over one association: the sibling is found whatever becomes of the other. */
async function sent(pacs: Pacs, given: Partial<Bad>, before: readonly InstanceToSend[] = []): Promise<Found> {
  const study = given.study ?? aUID();
  const goodStudy = /^[0-9.]+$/.test(study) && !study.includes('..') ? study : aUID();
  const bad = anInstance({ ...given, study });
  const good = anInstance({ study: goodStudy });
  const results = await send(pacs, [...before, bad, good]);
  await eventually('the sibling is found', async () => (await pacs.api.call(`dicom-web/studies/${goodStudy}/instances?SOPInstanceUID=${good.instance}`)).status === 200);
  await eventually('its association is through', async () => {
    const flows = (await pacs.api.flows(goodStudy)).filter(({ type }) => type === 'ingestAssociation');
    return flows.length > 0 && flows.every(({ state }) => state === 'DONE');
  });
  const told = toldOf(results[before.length]);
  if (told !== '0000') return { told, where: await whereOf(pacs, goodStudy, bad.instance) };
  const where = await eventually('it is somewhere', async () => {
    const now = await whereOf(pacs, goodStudy, bad.instance);
    return now !== 'nowhere' && now;
  });
  return { told, where };
}

async function stow(pacs: Pacs, file: Buffer, at = 'dicom-web/studies'): Promise<string> {
  const answer = await pacs.api.call(at, { method: 'POST', headers: { 'content-type': multipartType, accept: 'application/dicom+json' }, body: aMultipart([file]) as never });
  return `HTTP ${answer.status}`;
}

/** One case for each row of the table of bad input in docs/operations.md. */
export const badInputCases: Readonly<Record<string, Case>> = {
  'pixel-data-short': (pacs) => sent(pacs, { pixels: randomBytes(16) }),
  'data-set-cut-off': (pacs) => sent(pacs, { dataSet: (bytes) => bytes.subarray(0, bytes.length - 20) }),
  'unreadable-after-series': (pacs) => sent(pacs, { dataSet: (bytes) => Buffer.concat([bytes.subarray(0, bytes.length - 44), header(0x00290010, 'LO', 60_000), Buffer.alloc(30)]) }),
  'unreadable': (pacs) => sent(pacs, { dataSet: () => Buffer.alloc(5000, 0xff) }),
  'empty-data-set': (pacs) => sent(pacs, { dataSet: () => Buffer.alloc(0) }),
  'sop-class-mismatch': (pacs) => sent(pacs, { commandClass: '1.2.840.10008.5.1.4.1.1.4' }),
  'sop-instance-mismatch': (pacs) => sent(pacs, { commandInstance: aUID() }),
  'no-series-uid': (pacs) => sent(pacs, { series: '' }),
  'invalid-uid': (pacs) => sent(pacs, { study: '1.2.abc' }),
  'path-uid': (pacs) => sent(pacs, { study: '../..' }),
  'same-bytes-again': async (pacs) => {
    const [study, series, instance, pixels] = [aUID(), aUID(), aUID(), randomBytes(32)];
    const found = await sent(pacs, { study, series, instance, pixels }, [anInstance({ study, series, instance, pixels })]);
    await eventually('the study counts both instances, and none twice', async () => await pacs.api.findInstances(study) === 2);
    return found;
  },
  'other-bytes-same-uid': async (pacs) => {
    const [study, series, instance] = [aUID(), aUID(), aUID()];
    return sent(pacs, { study, series, instance }, [anInstance({ study, series, instance })]);
  },
  'same-uid-other-series': async (pacs) => {
    const [study, instance] = [aUID(), aUID()];
    return sent(pacs, { study, instance }, [anInstance({ study, instance })]);
  },
  'same-uid-other-study': async (pacs) => {
    const instance = aUID();
    await sent(pacs, { instance });
    return sent(pacs, { instance });
  },
  'aborted-mid-instance': async (pacs) => {
    const [study, whole] = [aUID(), anInstance()];
    const good = anInstance({ study });
    const half: InstanceToSend = { ...whole, open: async function* () {
      for await (const bytes of whole.open()) yield bytes.subarray(0, 200);
      throw new Error('the sender dies here');
    } };
    const told: StoreResult[] = [];
    try {
      const { host, port, aeTitle } = pacs.stack.urls.dicom;
      for await (const result of storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'BAD' }, [good, half])) told.push(result);
    } catch {
      // The association is gone with the sender.
    }
    await eventually('what came before is found', async () => await pacs.api.findInstances(study) === 1);
    return { told: toldOf(told[1]), where: await whereOf(pacs, whole.study, whole.instance) };
  },
  'disk-full': async (pacs) => {
    const home = await tempFolder();
    const { env } = pacs.stack;
    const gateway = await startStack({ home, ports: 'free', parts: ['gateway'], env: { PACS_TENANT_ID: pacs.tenantId, PACS_GATEWAY_ID: 'full', PACS_SPOOL_MIN_FREE_BYTES: '1000000000000000' },
      external: { temporalAddress: env['TEMPORAL_ADDRESS']!, s3Endpoint: env['S3_ENDPOINT']!, opensearchUrl: env['OPENSEARCH_URL']!, s3Keys: { accessKeyId: env['AWS_ACCESS_KEY_ID']!, secretAccessKey: env['AWS_SECRET_ACCESS_KEY']! } } });
    try {
      const bad = anInstance();
      const { host, port, aeTitle } = gateway.urls.dicom;
      const [result] = await Array.fromAsync(storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'BAD' }, [bad]));
      return { told: toldOf(result), where: await whereOf(pacs, bad.study, bad.instance) };
    } finally {
      await gateway.stop();
    }
  },
  'too-long': async () => {
    // 8 GiB through the storage service; the file behind it takes the bytes and keeps none.
    const nothing = { writev: async (pieces: readonly Buffer[]) => ({ bytesWritten: pieces.reduce((sum, piece) => sum + piece.length, 0), buffers: pieces }) };
    const writer = new BatchWriter(nothing as never, 0);
    const spool = { open: () => ({ receive: () => ({ push: (piece: Buffer) => writer.push(piece), place: async () => undefined, commit: () => Promise.reject(new Error('committed')), discard: async () => undefined }), end: async () => undefined }) };
    const session = await openStorageSession({ spool: spool as never, watermark: { noRoom: () => undefined, mustStop: () => false, makeRoom: () => undefined, wrote: () => undefined }, log: quiet })({ associationId: 'a' } as never);
    const first = await Array.fromAsync(anInstance({ instance: '1.2.3' }).open());
    const zeros = Buffer.alloc(1 << 26);
    const dataSet = { consume: async (take: (piece: Buffer) => void | Promise<void>) => {
      let lengthBytes = 0;
      for (const piece of [...first, ...Array<Buffer>(129).fill(zeros)]) {
        await take(piece);
        lengthBytes += piece.length;
      }
      return lengthBytes;
    } };
    const { status } = await session.handle({ command: { affectedSOPClassUID: ct, affectedSOPInstanceUID: '1.2.3' }, abstractSyntaxUID: ct, transferSyntaxUID: explicitLE, dataSet } as never);
    return { told: status.toString(16).toUpperCase(), where: 'nowhere' };
  },
  'unsupported-sop-class': (pacs) => sent(pacs, { commandClass: '1.2.840.10008.1.3.10', sopClass: '1.2.840.10008.1.3.10' }),
  'unsupported-transfer-syntax': (pacs) => sent(pacs, { syntax: '1.2.840.10008.1.2.9.9' }),
  'private-sop-class': (pacs) => sent(pacs, { sopClass: '1.2.999.77.1' }),
  'deflated': (pacs) => sent(pacs, { syntax: deflated, dataSet: (bytes) => deflateRawSync(bytes) }),
  'big-endian': (pacs) => sent(pacs, { syntax: explicitBE }),
  'odd-length': (pacs) => sent(pacs, { dataSet: (bytes) => {
    const at = bytes.indexOf(Buffer.from('P1'));
    return Buffer.concat([bytes.subarray(0, at - 2), Buffer.of(3, 0), Buffer.from('P12'), bytes.subarray(at + 2)]);
  } }),
  'unknown-charset': (pacs) => sent(pacs, { extra: [{ tag: 0x00080005, vr: 'CS', value: 'ISO_IR 999' }] }),
  'stow-unparsable': async (pacs) => ({ told: await stow(pacs, Buffer.from('this is no DICOM file')), where: 'nowhere' }),
  'stow-other-study': async (pacs) => {
    const [study, instance] = [aUID(), aUID()];
    const told = await stow(pacs, aFile({ study, series: aUID(), instance }), `dicom-web/studies/${aUID()}`);
    return { told, where: await whereOf(pacs, study, instance) };
  },
  'stow-pixel-data-short': async (pacs) => {
    const [study, instance] = [aUID(), aUID()];
    const told = await stow(pacs, aFile({ study, series: aUID(), instance, pixels: randomBytes(8) }));
    return { told, where: await whereOf(pacs, study, instance) };
  },
};

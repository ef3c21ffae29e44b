import { randomBytes } from 'node:crypto';
import { parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import type { Urls } from '../../infra/native/environment.ts';
import { storeInstances, type InstanceToSend } from '../../edge-gateway/scu/store.ts';
import { aFile } from '../unit/api/support.ts';
import { aUID } from './aStudy.ts';
import { sha256 } from './pacsClient.ts';
import { runScript } from './peers.ts';

/** A file of a study that a script made. */
export interface MadeFile {
  readonly file: string;
  readonly sopInstanceUID: string;
  readonly transferSyntaxUID: string;
  readonly dataSetSha256: string;
}

export interface MadeStudy {
  readonly studyInstanceUID: string;
  readonly seriesInstanceUID: string;
  readonly folder: string;
  readonly files: readonly MadeFile[];
}

/** A study of one series, made of a sample file of pydicom's with fresh UIDs. */
export async function madeStudy(python: string, folder: string, sample: string, count: number, attributes: Readonly<Record<string, string>> = {}): Promise<MadeStudy> {
  const [studyInstanceUID, seriesInstanceUID] = [aUID(), aUID()];
  const files = await runScript<MadeFile>(python, 'make_study.py', { folder, sample, count, studyInstanceUID, seriesInstanceUID, attributes });
  return { studyInstanceUID, seriesInstanceUID, folder, files };
}

export interface SentFile {
  readonly file: string;
  /** Of the C-STORE response; null when none came. */
  readonly status: number | null;
  readonly errorComment: string | null;
}

/** Sends files with pynetdicom, bytes as they are. */
export const sendFiles = (python: string, { host, port, aeTitle }: Urls['dicom'], files: readonly string[], callingAETitle = 'PYNETDICOM'): Promise<readonly SentFile[]> =>
  runScript<SentFile>(python, 'send_files.py', { host, port, calledAETitle: aeTitle, callingAETitle, files });

/** An instance in memory, with what must come back. */
export interface TestInstance extends InstanceToSend {
  readonly dataSet: Buffer;
  readonly dataSetSha256: string;
}

/** CT instances of one series, each with random bytes as pixels. */
export function ctInstances({ study, series = aUID(), count, pixelBytes = 100_000, patientName = 'Doe^Jane' }: {
  readonly study: string; readonly series?: string; readonly count: number; readonly pixelBytes?: number; readonly patientName?: string;
}): readonly TestInstance[] {
  return Array.from({ length: count }, (_, number) => ctInstance({ study, series, instance: aUID(), instanceNumber: `${number + 1}`, patientName, pixels: randomBytes(pixelBytes) }));
}

/** One CT instance, of the UIDs and pixels given. */
export function ctInstance(values: { readonly study: string; readonly series: string; readonly instance: string; readonly instanceNumber?: string; readonly patientName?: string; readonly pixels: Buffer }): TestInstance {
  const file = aFile(values);
  const meta = parseFileMeta(file);
  if ('needMore' in meta) throw new Error('aFile made no whole file');
  const dataSet = file.subarray(meta.dataSetOffsetBytes);
  return {
    sopInstanceUID: values.instance, sopClassUID: meta.mediaStorageSOPClassUID!, transferSyntaxUID: meta.transferSyntaxUID!, dataSet, dataSetSha256: sha256(dataSet),
    open: async function* () { yield dataSet; },
  };
}

/** Sends one after the other over one association. @returns what was acknowledged with 0000, also when the association breaks */
export async function sendUntilItBreaks({ host, port, aeTitle }: Urls['dicom'], instances: readonly TestInstance[], onAcknowledged: (count: number) => void = () => {}): Promise<readonly TestInstance[]> {
  const acknowledged: TestInstance[] = [];
  try {
    for await (const result of storeInstances({ host, port, calledAETitle: aeTitle, callingAETitle: 'CT1' }, instances)) {
      if (result.outcome !== 'answered' || result.status !== 0) continue;
      acknowledged.push(instances.find(({ sopInstanceUID }) => sopInstanceUID === result.sopInstanceUID)!);
      onAcknowledged(acknowledged.length);
    }
  } catch {
    // The gateway is gone: what it acknowledged before is what counts.
  }
  return acknowledged;
}

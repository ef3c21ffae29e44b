import type { Urls } from '../native/environment.ts';
import type { OnProgress } from '../native/parts.ts';

const MARKS = { downloading: '↓', starting: '…', ready: '✔', external: '→', warning: '!', stopping: '…', stopped: '■', crashed: '✖' } as const;

/** One line per step. */
export const printProgress: OnProgress = ({ subject, state, text }) => {
  console.log(`${MARKS[state]} ${subject.padEnd(10)} ${text}`);
};

/** With the time in front, for a log. */
export const logProgress: OnProgress = (progress) => {
  console.log(`${new Date().toISOString()} ${progress.subject} ${progress.state}: ${progress.text}`);
};

export function printUrls(urls: Urls): void {
  const rows: readonly (readonly [string, string])[] = [
    ['DICOM', `${urls.dicom.host}:${urls.dicom.port}, AE title ${urls.dicom.aeTitle}${urls.dicom.tls ? ', TLS alone' : ''}`],
    ['HTTP API', urls.api],
    ['DICOMweb', `${urls.api}/tenants/demo/dicom-web`],
    ['Viewer', `${urls.api}/viewer/demo/`],
    ['Temporal UI', `${urls.temporalUI}/namespaces/pacs/workflows`],
    ['Temporal', urls.temporalAddress],
    ['OpenSearch', urls.opensearch],
    ['S3', urls.s3Endpoint],
  ];
  for (const [what, where] of rows) console.log(`  ${what.padEnd(12)} ${where}`);
}

export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

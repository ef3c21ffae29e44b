import type { Row } from '../demo.ts';
import { printUrls } from '../commands/show.ts';
import type { Stack } from '../native/stack.ts';
import type { DemoApi } from './api.ts';
import type { DemoStudy } from './studies.ts';

const columns = ['sent', 'archived', 'quarantined', 'duplicates', 'found', 'identical', 'routed'] as const;

export function printTable(rows: readonly Row[]): void {
  console.log(`\n${'study'.padEnd(8)}${columns.map((name) => name.padStart(13)).join('')}`);
  for (const row of rows) {
    console.log(`${row.modality.padEnd(8)}${columns.map((name) => String(row[name]).padStart(13)).join('')}`);
    if (row.reason) console.log(`        quarantined: ${row.reason}`);
    for (const problem of row.problems) console.log(`        ✖ ${problem}`);
  }
}

/** The verdict, one study's history in words, and where to look further. */
export async function printResult(stack: Stack, api: DemoApi, studies: readonly DemoStudy[], rows: readonly Row[], viewerToken: string): Promise<void> {
  const [first] = studies;
  if (first) {
    console.log(`\nHistory of the ${first.modality} study ${first.studyInstanceUID}:`);
    for (const { at, action, actor, counts, detail } of await api.history(first.studyInstanceUID)) {
      const numbers = Object.entries(counts ?? {}).filter(([, value]) => value > 0).map(([name, value]) => `${name} ${value}`).join(', ');
      console.log(`  ${at}  ${action.padEnd(22)} ${actor.padEnd(12)} ${[numbers, detail].filter(Boolean).join('; ')}`);
    }
  }
  const filter = (query: string) => `${stack.urls.temporalUI}/namespaces/pacs/workflows?query=${encodeURIComponent(query)}`;
  console.log('\nWhere to look:');
  printUrls(stack.urls);
  console.log(`  ${'Flows'.padEnd(12)} ${filter(`TenantId="demo" AND (StudyInstanceUID="${first?.studyInstanceUID ?? ''}" OR StudyInstanceUIDs="${first?.studyInstanceUID ?? ''}")`)}`);
  console.log(`  ${'History'.padEnd(12)} ${stack.urls.api}/tenants/demo/studies/${first?.studyInstanceUID ?? ''}/history`);
  for (const { modality, studyInstanceUID } of studies) {
    console.log(`  ${`Viewer, ${modality}`.padEnd(12)} ${stack.urls.api}/viewer/demo/viewer?StudyInstanceUIDs=${studyInstanceUID}#token=${viewerToken}`);
  }
  console.log(`  ${'Token'.padEnd(12)} ./pacs token --tenant demo --role admin`);
  const bad = rows.filter(({ problems }) => problems.length > 0);
  console.log(bad.length === 0 ? '\n✔ Every byte that came back equals what was sent.' : `\n✖ ${bad.map(({ modality }) => modality).join(', ')}: not as sent; see above.`);
}

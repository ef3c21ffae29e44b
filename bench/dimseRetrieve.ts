import { spawn } from 'node:child_process';
import { freePorts } from '../infra/native/ports.ts';
import { locate } from './peers.ts';
import type { LoadedStudy, Systems } from './retrieveSources.ts';
import { apiOf } from './run.ts';
import { markdownTable, show } from './statistics.ts';

/** One study by C-GET or C-MOVE to DCMTK's getscu or movescu, which drops what it receives. */
export interface DimseRetrieval {
  readonly system: string;
  readonly how: 'C-GET' | 'C-MOVE';
  /** From the start of the program to its end, the association included. */
  readonly ms: number;
  readonly failed: boolean;
}

interface Server { readonly system: string; readonly port: number; readonly aeTitle: string; readonly studies: readonly string[] }

const mover = 'BENCHMOVE';

/** Each study from each system, in turns. The first time of each counts too: nothing is warm before. @returns nothing without DCMTK */
export async function measureDimse({ stack, orthanc }: Pick<Systems, 'stack' | 'orthanc'>, studies: readonly LoadedStudy[]): Promise<readonly DimseRetrieval[]> {
  const [getscu, movescu] = [locate('getscu'), locate('movescu')];
  if (!getscu || !movescu) return [];
  const { port: own, aeTitle } = stack.urls.dicom;
  const { dicom: moverPort } = await freePorts();
  await (await apiOf(stack)).configure((config) => ({ ...config, destinations: [...config.destinations.filter(({ destinationId }) => destinationId !== 'bench'),
    { kind: 'dicom', destinationId: 'bench', gatewayId: 'gw1', host: '127.0.0.1', port: moverPort, calledAETitle: mover, callingAETitle: aeTitle }] }));
  const servers: readonly Server[] = [
    { system: 'PACS', port: own, aeTitle, studies: studies.map(({ pacs }) => pacs) },
    ...(orthanc ? [{ system: 'Orthanc', port: orthanc.port, aeTitle: orthanc.aeTitle, studies: studies.flatMap((study) => study.orthanc ?? []) }] : []),
  ];
  if (orthanc) {
    await fetch(`http://127.0.0.1:${orthanc.httpPort}/modalities/bench`, { method: 'PUT', body: JSON.stringify({ AET: mover, Host: '127.0.0.1', Port: moverPort }) });
  }
  const found: DimseRetrieval[] = [];
  for (let index = 0; index < studies.length; index++) {
    for (const { system, port, aeTitle: called, studies: of } of servers) {
      const common = ['-S', '-aet', mover, '-aec', called, '--max-pdu', '131072', '--ignore'];
      const keys = ['127.0.0.1', `${port}`, '-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${of[index]}`];
      found.push({ system, how: 'C-GET', ...await timed(getscu, [...common, ...keys]) });
      found.push({ system, how: 'C-MOVE', ...await timed(movescu, [...common, '-aem', mover, '--port', `${moverPort}`, ...keys]) });
      for (const { how, ms } of found.slice(-2)) console.log(`  ${how} of a study  ${system.padEnd(30)} ${ms.toFixed(0)} ms`);
    }
  }
  return found;
}

async function timed(command: string, args: readonly string[]): Promise<Pick<DimseRetrieval, 'ms' | 'failed'>> {
  const began = performance.now();
  const child = spawn(command, [...args], { env: { ...process.env, TCP_NODELAY: '1' }, stdio: 'ignore' });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  return { ms: performance.now() - began, failed: code !== 0 };
}

export const dimseText = (found: readonly DimseRetrieval[]): string => `One study by DIMSE, to DCMTK's getscu and movescu, process start included:\n\n${markdownTable(['how', 'system', 'ms', 'failures'],
  [...Map.groupBy(found, ({ how, system }) => `${how}\0${system}`).values()].map((group) => [group[0]!.how, group[0]!.system, show(group.map(({ ms }) => ms)), `${group.filter(({ failed }) => failed).length}`]))}`;

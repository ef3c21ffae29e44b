import path from 'node:path';
import { installedPeers, type PeerSystem } from './peers.ts';
import { orthancInstances, sendToPacs, sendToPeer, startApi, viewerToken, type Api, type Size } from './retrieveSources.ts';
import type { Bench, Section } from './section.ts';
import { markdownTable, percentile, show } from './statistics.ts';

export interface FramesOptions {
  /** Fresh API processes, each asked once for everything before it is asked again. */
  readonly processes: number;
  readonly repetitions: number;
}

/** One thing that a viewer asks for, at the PACS and where Orthanc can give the same. */
interface Question {
  readonly what: string;
  /** Below the tenant's DICOMweb root. */
  readonly path: string;
  readonly accept: string;
  readonly orthanc: string | undefined;
}

interface Answers {
  readonly what: string;
  readonly system: string;
  /** The first time of a process that has nothing in memory and no pack on its disk. */
  readonly firstMs: readonly number[];
  readonly againMs: readonly number[];
  readonly bytes: number;
}

const dicomJson = 'application/dicom+json';
const lastFrame = 200;

/** First and last frame of a multi-frame instance of 105 MB, a rendered CT slice, and the metadata of series: time from asking to the last byte. */
export async function measureFrames(bench: Bench, { processes, repetitions }: FramesOptions): Promise<Section> {
  const { stack, home } = bench;
  const orthanc = bench.peers ? await installedPeers(path.join(home, 'tmp')).Orthanc?.() : undefined;
  try {
    const questions = await questionsOf(bench, orthanc);
    const headers = { Authorization: `Bearer ${await viewerToken(stack)}` };
    const ours: Answers[] = questions.map(({ what }) => ({ what, system: 'PACS', firstMs: [], againMs: [], bytes: 0 }));
    const theirs: Answers[] = questions.filter((question) => question.orthanc !== undefined).map(({ what }) => ({ what, system: 'Orthanc', firstMs: [], againMs: [], bytes: 0 }));
    for (let process = 0; process < processes; process++) {
      const api = await startApi(stack, path.join(home, `frames-${process}`));
      try {
        for (const [index, question] of questions.entries()) ours[index] = await ask(ours[index]!, repetitions, urlOf(api, question), { ...headers, Accept: question.accept });
        for (const [index, answers] of theirs.entries()) theirs[index] = await ask(answers, repetitions, questions.find(({ what }) => what === answers.what)!.orthanc!, {});
      } finally {
        await api.stop();
      }
    }
    const all = questions.flatMap(({ what }) => [...ours, ...theirs].filter((answers) => answers.what === what));
    return {
      name: 'frames', text: `Time from asking to the last byte, ms: *first* in a process that has read nothing before, median (min–max); *again* median and 95 %. Orthanc was not started anew.\n\n${table(all)}`,
      data: { processes, repetitions, answers: all }, plots: {}, failed: false,
    };
  } finally {
    await orthanc?.stop();
  }
}

const urlOf = ({ port }: Api, question: Question): string => `http://127.0.0.1:${port}/tenants/demo/dicom-web/${question.path}`;

async function questionsOf({ config, stack, quick }: Bench, orthanc: PeerSystem | undefined): Promise<readonly Question[]> {
  const load = async (size: Size): Promise<{ readonly study: string; readonly theirs: readonly string[] }> => {
    const [study = ''] = Object.keys((await sendToPacs(config, stack, size)).studies);
    const [peerStudy = ''] = orthanc ? Object.keys((await sendToPeer(config, orthanc, size)).studies) : [];
    return { study, theirs: orthanc ? await orthancInstances(orthanc, peerStudy) : [] };
  };
  const [large, small] = [await load({ kind: 'ect', studies: 1, instances: 1 }), await load({ kind: 'ct', studies: 1, instances: 100 })];
  const [object, slice] = [await instanceOf(stack, large.study), await instanceOf(stack, small.study)];
  const metadata = async ({ study, theirs }: typeof small, count: number): Promise<Question> =>
    ({ what: `metadata of a series of ${count}`, path: `${(await instanceOf(stack, study)).series}/metadata`, accept: dicomJson, orthanc: theirs[0] && `${await seriesAt(theirs[0])}/instances-tags` });
  return [
    { what: 'frame 1 of 200, 0.5 MB', path: `${object.path}/frames/1`, accept: 'multipart/related; type="application/octet-stream"', orthanc: large.theirs[0] && `${large.theirs[0]}/frames/0/raw` },
    { what: `frame ${lastFrame} of 200`, path: `${object.path}/frames/${lastFrame}`, accept: 'multipart/related; type="application/octet-stream"', orthanc: large.theirs[0] && `${large.theirs[0]}/frames/${lastFrame - 1}/raw` },
    { what: 'CT slice, rendered', path: `${slice.path}/rendered`, accept: 'image/jpeg', orthanc: small.theirs[0] && `${small.theirs[0]}/preview` },
    await metadata(small, 100),
    ...(quick ? [] : [await metadata(await load({ kind: 'ct', studies: 1, instances: 1000 }), 1000)]),
  ];
}

/** The first instance that a study has, and its series, by QIDO-RS. */
async function instanceOf(stack: Bench['stack'], study: string): Promise<{ readonly path: string; readonly series: string }> {
  const answer = await fetch(`${stack.urls.api}/tenants/demo/dicom-web/studies/${study}/instances?limit=1`, { headers: { Authorization: `Bearer ${await viewerToken(stack)}` } });
  const [found] = await answer.json() as readonly Readonly<Record<string, { readonly Value: readonly [string] }>>[];
  const series = `studies/${study}/series/${found!['0020000E']!.Value[0]}`;
  return { series, path: `${series}/instances/${found!['00080018']!.Value[0]}` };
}

async function seriesAt(instance: string): Promise<string> {
  const { ParentSeries } = await (await fetch(instance)).json() as { readonly ParentSeries: string };
  return `${new URL(instance).origin}/series/${ParentSeries}`;
}

async function ask(answers: Answers, repetitions: number, url: string, headers: Readonly<Record<string, string>>): Promise<Answers> {
  const times: number[] = [];
  let bytes = 0;
  for (let number = 0; number <= repetitions; number++) {
    const began = performance.now();
    const answer = await fetch(url, { headers });
    bytes = (await answer.arrayBuffer()).byteLength;
    if (!answer.ok) throw new Error(`${answers.system}, ${answers.what}: HTTP status ${answer.status}`);
    times.push(performance.now() - began);
  }
  console.log(`  ${answers.what.padEnd(28)} ${answers.system.padEnd(8)} first ${times[0]!.toFixed(1)} ms, again ${percentile(times.slice(1), 50).toFixed(1)} ms`);
  return { ...answers, bytes, firstMs: [...answers.firstMs, times[0]!], againMs: [...answers.againMs, ...times.slice(1)] };
}

const table = (all: readonly Answers[]): string => markdownTable(['what', 'system', 'first ms', 'again ms', 'again, 95 %', 'KB'], all.map(({ what, system, firstMs, againMs, bytes }) =>
  [what, system, system === 'PACS' ? show(firstMs, 1) : '–', percentile(againMs, 50).toFixed(1), percentile(againMs, 95).toFixed(1), (bytes / 1000).toFixed(0)]));

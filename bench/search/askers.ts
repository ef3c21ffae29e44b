import { encodeIdentifier } from '../../edge-gateway/services/identifier.ts';
import { commandFields, commandPriority } from '../../edge-gateway/dimse/command.ts';
import { openAssociation } from '../../edge-gateway/scu/association.ts';
import type { Stack } from '../../infra/native/stack.ts';
import type { PeerSystem } from '../peers.ts';
import type { Question } from './questions.ts';

/** A way to search a system. */
export interface Asker {
  readonly system: string;
  /** The processes that take part in an answer. */
  readonly pids: readonly number[];
  /** @returns what asks for one study and gives the number of results; undefined when the system has no such question */
  searchOf(question: Question): ((study: number) => Promise<number>) | undefined;
  close(): Promise<void>;
}

const studyRootFind = '1.2.840.10008.5.1.4.1.2.2.1';
const explicitVRLittleEndian = '1.2.840.10008.1.2.1';

export async function createAskers({ stack, token, orthanc }: { readonly stack: Stack; readonly token: string; readonly orthanc: PeerSystem | undefined }): Promise<readonly Asker[]> {
  const { host, port, aeTitle } = stack.urls.dicom;
  const pid = (part: Parameters<Stack['pid']>[0]): number => stack.pid(part) ?? 0;
  return [
    qido(`${stack.urls.api}/tenants/demo/dicom-web`, token, [pid('api'), pid('opensearch')]),
    await find('C-FIND, PACS', { host, port, calledAETitle: aeTitle }, [pid('gateway'), pid('api'), pid('opensearch')]),
    ...(orthanc ? [tools(orthanc), await find('C-FIND, Orthanc', { host: '127.0.0.1', port: orthanc.port, calledAETitle: orthanc.aeTitle }, [orthanc.pid])] : []),
  ];
}

const nothingToClose = async (): Promise<void> => undefined;

const qido = (root: string, token: string, pids: readonly number[]): Asker => ({
  system: 'QIDO-RS, PACS', pids, close: nothingToClose,
  searchOf: ({ qido: path }) => path && (async (study) => {
    const answer = await fetch(`${root}/${path(study)}`, { headers: { Authorization: `Bearer ${token}`, Accept: 'application/dicom+json' } });
    if (!answer.ok) throw new Error(`QIDO-RS answered with HTTP status ${answer.status}`);
    return answer.status === 204 ? 0 : (await answer.json() as readonly unknown[]).length;
  }),
});

const tools = ({ httpPort, pid }: PeerSystem): Asker => ({
  system: '/tools/find, Orthanc', pids: [pid], close: nothingToClose,
  searchOf: ({ orthanc }) => orthanc && (async (study) => {
    const answer = await fetch(`http://127.0.0.1:${httpPort}/tools/find`, { method: 'POST', body: JSON.stringify(orthanc(study)) });
    if (!answer.ok) throw new Error(`Orthanc answered a search with HTTP status ${answer.status}`);
    return (await answer.json() as readonly unknown[]).length;
  }),
});

/** One association for all questions, as a workstation keeps it. */
async function find(system: string, peer: { readonly host: string; readonly port: number; readonly calledAETitle: string }, pids: readonly number[]): Promise<Asker> {
  const association = await openAssociation({ ...peer, callingAETitle: 'BENCH', timeouts: { responseMs: 300_000 }, contexts: [{ abstractSyntaxUID: studyRootFind, transferSyntaxUIDs: [explicitVRLittleEndian] }] });
  const [context] = association.contexts;
  if (!context) throw new Error(`${system}: Study Root FIND was not accepted`);
  return {
    system, pids, close: () => association.release(),
    searchOf: ({ find: identifier }) => identifier && (async (study) => {
      let results = 0;
      const command = { affectedSOPClassUID: studyRootFind, commandField: commandFields.cFindRequest, priority: commandPriority.medium };
      const last = await association.request({ name: 'C-FIND-RQ', context, command, dataSet: [encodeIdentifier(identifier(study), context.transferSyntaxUID, [])], onPending: async (dataSet) => {
        results++;
        if (dataSet) for await (const _ of dataSet);
      } });
      if (last.status !== 0) throw new Error(`${system} answered with status ${last.status?.toString(16)}`);
      return results;
    }),
  };
}

import type { DicomJson } from '../../../dicom/json.ts';
import { encodeDataSet } from '../../../dicom/part10/dataSetWriter.ts';
import { implicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import type { CloudArchive } from '../../../edge-gateway/cloudArchive.ts';
import { DataSetChannel } from '../../../edge-gateway/dimse/dataSet.ts';
import { readIdentifier } from '../../../edge-gateway/services/identifier.ts';
import type { AssociationInfo, AssociationLink, CommandSet, DimseRequest, DimseResponse, Operation, ServiceContext } from '../../../edge-gateway/services/service.ts';

export const info: AssociationInfo = {
  associationId: '01920000-0000-7000-8000-000000000000', callingAETitle: 'ASKER', calledAETitle: 'PACS', peerAddress: '127.0.0.1',
  acceptedAt: '2025-01-01T00:00:00.000Z', peerImplementationClassUID: '1.2.3', peerImplementationVersionName: 'TEST',
};
export const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

export function aDataSetStream(bytes: Buffer): DataSetChannel {
  const channel = new DataSetChannel();
  void channel.push(bytes);
  channel.end();
  return channel;
}

export const aRequest = (sopClassUID: string, commandField: number, identifier: DicomJson | Buffer, more: Partial<CommandSet> = {}): DimseRequest => ({
  presentationContextId: 1, abstractSyntaxUID: sopClassUID, transferSyntaxUID: implicitVRLittleEndian,
  command: { commandField, messageID: 5, affectedSOPClassUID: sopClassUID, commandDataSetType: 1, ...more },
  dataSet: aDataSetStream(Buffer.isBuffer(identifier) ? identifier : encodeDataSet(identifier, { implicitVR: true })),
});

/** An operation that keeps what it was told to send, and can be cancelled. */
export function anOperation(onResponse: (count: number) => void = () => undefined) {
  const controller = new AbortController();
  const sent: DimseResponse[] = [];
  let isCancelled = false;
  const operation: Operation = {
    signal: controller.signal,
    get isCancelled() { return isCancelled; },
    respond: async (response) => {
      sent.push(response);
      onResponse(sent.length);
    },
  };
  const cancel = (): void => {
    isCancelled = true;
    controller.abort();
  };
  return { operation, sent, cancel };
}

/** A link whose requests are answered by `answer`. */
export function aLink(contexts: readonly Partial<ServiceContext>[] = [], answer: (command: Partial<CommandSet>, bytes: Buffer, contextId: number) => Promise<number> | number = () => 0, extensions: AssociationLink['extensions'] = new Map()): AssociationLink {
  return {
    contexts: contexts.map((context, index) => ({ id: 2 * index + 1, abstractSyntaxUID: '1.2', transferSyntaxUID: implicitVRLittleEndian, requestorIsScp: true, ...context })),
    extensions, isOpen: true,
    request: async (contextId, command, dataSet) => {
      const bytes = dataSet === undefined ? Buffer.alloc(0) : Buffer.isBuffer(dataSet) ? dataSet : Buffer.concat(await Array.fromAsync(dataSet));
      return { ...command, commandDataSetType: 0x0101, status: await answer(command, bytes, contextId) };
    },
  };
}

/** An archive that finds these matches, and knows these files by SOP Instance UID. */
export const anArchive = (matches: readonly DicomJson[], files: ReadonlyMap<string, Buffer> = new Map(), unmatched: readonly string[] = []): CloudArchive & { readonly asked: unknown[] } => {
  const asked: unknown[] = [];
  return {
    asked,
    query: async (query) => {
      asked.push(query);
      return { unmatched, matches: (async function* () { yield* matches; })() };
    },
    retrieve: async ({ sopInstanceUID }, transferSyntaxUID) => {
      asked.push({ sopInstanceUID, transferSyntaxUID });
      const file = files.get(sopInstanceUID);
      return file && (async function* () { yield file; })();
    },
  };
};

export const identifierOf = ({ dataSet }: DimseResponse): Promise<DicomJson> => readIdentifier(aDataSetStream(dataSet!), implicitVRLittleEndian);

import type { Readable } from 'node:stream';
import { parseFileMeta } from '../dicom/part10/fileMeta.ts';
import { resend, statusClass } from '../dicom/status.ts';
import type { DicomDestination } from '../domain/tenant.ts';
import { storeInstances, type StoreResult } from '../edge-gateway/scu/store.ts';
import type { Sender, SendResult } from '../stores/ports.ts';

/**
 * Sends instances to a Storage SCP (PS3.4 Annex B) as they were received, each in its own transfer syntax.
 *
 * @param ownAETitle the calling AE title, unless the destination names another
 */
export const createDicomSender = (ownAETitle: string): Sender<DicomDestination> => ({
  async *send({ host, port, calledAETitle, callingAETitle = ownAETitle }, instances, signal) {
    const outgoing = instances.map(({ sopClassUID, sopInstanceUID, transferSyntaxUID, open }) =>
      ({ sopClassUID, sopInstanceUID, transferSyntaxUID, open: () => dataSetOf(open) }));
    for await (const result of storeInstances({ host, port, calledAETitle, callingAETitle }, outgoing, { signal })) yield toSendResult(result);
  },
});

function toSendResult(result: StoreResult): SendResult {
  const { sopInstanceUID } = result;
  if (result.outcome === 'notAccepted') {
    return { sopInstanceUID, outcome: 'refused', problem: 'The destination accepts no presentation context for this SOP Class in this transfer syntax (PS3.8 9.3.3.2).' };
  }
  const { status, errorComment } = result;
  const kind = statusClass(status);
  if (kind === 'success' || kind === 'warning') return { sopInstanceUID, outcome: 'delivered', status };
  const problem = `The destination answered ${status.toString(16).toUpperCase().padStart(4, '0')}H${errorComment ? ' with a comment of its own' : ''}.`;
  return { sopInstanceUID, outcome: resend(status) === 'never' ? 'refused' : 'later', status, problem };
}

/** The data set of a Part 10 file as it streams: what follows the File Meta Information (PS3.10 7.1). */
async function* dataSetOf(open: () => Promise<Readable>): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of (await open()) as AsyncIterable<Buffer>) {
    if (!head) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const meta = parseFileMeta(head);
    if ('needMore' in meta) continue;
    if (head.length > meta.dataSetOffsetBytes) yield head.subarray(meta.dataSetOffsetBytes);
    head = undefined;
  }
}

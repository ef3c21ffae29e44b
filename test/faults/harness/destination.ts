import { createHash } from 'node:crypto';
import { createDicomServer } from '../../../edge-gateway/server.ts';
import type { DimseRequest, DimseResponse } from '../../../edge-gateway/services/service.ts';

/** A Storage SCP that counts: what it answered 0000H for, by SOP Instance UID and SHA-256 of the data set, and how often. */
export interface CountingDestination {
  readonly port: number;
  readonly aeTitle: string;
  /** `<SOPInstanceUID> <sha256>` → times answered with success. */
  readonly received: ReadonlyMap<string, number>;
  /** Answers A700H, out of resources, to the next so many. @returns how many of them have come */
  refuse(count: number): () => number;
  /** Runs once, when the next instance has arrived and before it is answered. @returns how often it has, 0 or 1 */
  whenArrived(act: () => Promise<void>): () => number;
  close(): Promise<void>;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function startDestination(onReceived: () => void = () => {}): Promise<CountingDestination> {
  const received = new Map<string, number>();
  let refusals: { left: number; met: number } | undefined;
  let arrival: { readonly act: () => Promise<void>; met: number } | undefined;
  const handle = async (request: DimseRequest): Promise<DimseResponse> => {
    const hash = createHash('sha256');
    await request.dataSet!.consume((fragment) => void hash.update(fragment));
    if (arrival) {
      const { act } = arrival;
      arrival.met = 1;
      arrival = undefined;
      await act();
    }
    if (refusals && refusals.left > 0) {
      refusals.left--;
      refusals.met++;
      return { status: 0xa700 };
    }
    const key = `${request.command.affectedSOPInstanceUID} ${hash.digest('hex')}`;
    received.set(key, (received.get(key) ?? 0) + 1);
    onReceived();
    return { status: 0 };
  };
  const server = createDicomServer({
    host: '127.0.0.1', port: 0, aeTitles: ['SECOND'], logger: silent,
    openSession: async () => ({ handle, ended: async () => undefined }),
  });
  const { port } = await server.listen();
  return {
    port: port!, aeTitle: 'SECOND', received,
    refuse: (count) => {
      const mine = { left: count, met: 0 };
      refusals = mine;
      return () => mine.met;
    },
    whenArrived: (act) => {
      const mine = { act, met: 0 };
      arrival = mine;
      return () => mine.met;
    },
    close: () => server.close({ drainMs: 0 }),
  };
}

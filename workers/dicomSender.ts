import type { Sender } from '../stores/ports.ts';
import type { DicomDestination } from '../domain/tenant.ts';
export const createDicomSender = (_ae: string): Sender<DicomDestination> => ({ send: () => { throw new Error('not yet'); } });

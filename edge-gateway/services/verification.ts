import { status } from '../../dicom/status.ts';
import type { DimseRequest, DimseResponse } from './service.ts';

/** C-ECHO (PS3.4 Annex A, PS3.7 9.1.5): an answer says that the peer reaches a DICOM application, nothing more. */
export const verification = (_request: DimseRequest): DimseResponse => ({ status: status.success });

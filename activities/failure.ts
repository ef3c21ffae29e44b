import { ApplicationFailure } from '@temporalio/common';
import { permanentFailures, type PermanentFailure } from '../domain/failures.ts';

/** A failure that no retry cures. The text says what it is about, by key or UID, then what to do. */
export const permanent = (type: PermanentFailure, about: string): ApplicationFailure =>
  ApplicationFailure.create({ type, nonRetryable: true, message: `${about}: ${permanentFailures[type]}` });

/** A pack in words: tenant, key and no more. */
export const packName = (pack: { readonly tenantId: string; readonly studyInstanceUID: string; readonly packId: string }): string =>
  `Pack ${pack.packId.slice(0, 12)} of study ${pack.studyInstanceUID} (tenant ${pack.tenantId})`;

import { isAcceptableForStorage, isStorageSopClass, storageServiceClassUID, verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { isNegotiableTransferSyntax } from '../../dicom/transferSyntaxes.ts';
import { applicationContextUID, implementationClassUID, implementationVersionName, isUid } from '../../dicom/uid.ts';
import type { CommonExtendedNegotiation, UserIdentity, UserInformation } from './items.ts';
import { contextResult, type AnsweredContext, type AssociateAccept, type AssociateReject, type AssociateRequest, type ProposedContext } from './pdu.ts';

/** Whom and what this acceptor accepts. */
export interface AcceptancePolicy {
  /** AE titles we answer to, exact and case sensitive. */
  readonly calledAETitles: readonly string[];
  /** AE titles that may call; empty is any. */
  readonly callingAETitles: readonly string[];
  /** Storage SOP Classes that the table does not have: private ones, and newer ones. */
  readonly acceptPrivateStorage: boolean;
  /** Private transfer syntaxes that may be accepted, beside all of PS3.6. */
  readonly privateTransferSyntaxUIDs: readonly string[];
  /** Abstract syntaxes of services other than verification and storage. */
  readonly otherAbstractSyntaxUIDs: readonly string[];
  /** Checks a proposed identity (PS3.7 D.3.3.7); absent, every identity is as good as none. */
  readonly acceptIdentity?: (identity: UserIdentity, callingAETitle: string) => boolean;
  /** True while new work is unwelcome: a full disk, a shutdown. */
  readonly isCongested?: () => boolean;
}

export const defaultPolicy: AcceptancePolicy = {
  calledAETitles: [], callingAETitles: [], acceptPrivateStorage: true, privateTransferSyntaxUIDs: [], otherAbstractSyntaxUIDs: [],
};

/** Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21). */
export const rejections = {
  noReason: { result: 1, source: 1, reason: 1 },
  applicationContextNotSupported: { result: 1, source: 1, reason: 2 },
  callingAETitleNotRecognized: { result: 1, source: 1, reason: 3 },
  calledAETitleNotRecognized: { result: 1, source: 1, reason: 7 },
  temporaryCongestion: { result: 2, source: 3, reason: 1 },
  localLimitExceeded: { result: 2, source: 3, reason: 2 },
} as const satisfies Record<string, AssociateReject>;
export type Rejection = keyof typeof rejections;

/** PS3.5 6.2, AE: 1–16 characters of the default repertoire without backslash and control characters, not only spaces. */
export const isAETitle = (title: string): boolean => /^[\x20-\x5b\x5d-\x7e]{1,16}$/.test(title) && title.trim() !== '';

/** Below it not even two bytes of a message fit into a P-DATA-TF. */
const leastMaxLengthBytes = 8;

/** @returns why the association is refused as a whole, undefined when it is not */
export function findRejection(request: AssociateRequest, policy: AcceptancePolicy): Rejection | undefined {
  const { callingAETitle, calledAETitle, userInformation: { userIdentity, maxLengthBytes } } = request;
  if (policy.isCongested?.()) return 'temporaryCongestion';
  if (request.applicationContextUID !== applicationContextUID) return 'applicationContextNotSupported';
  if (!policy.calledAETitles.includes(calledAETitle)) return 'calledAETitleNotRecognized';
  if (!isAETitle(callingAETitle)) return 'callingAETitleNotRecognized';
  if (policy.callingAETitles.length > 0 && !policy.callingAETitles.includes(callingAETitle)) return 'callingAETitleNotRecognized';
  if (maxLengthBytes > 0 && maxLengthBytes < leastMaxLengthBytes) return 'noReason';
  if (userIdentity && policy.acceptIdentity && !policy.acceptIdentity(userIdentity, callingAETitle)) return 'noReason';
  return undefined;
}

/** The requestor says of an unknown SOP Class that it is storage, or a specialization of a class that is (PS3.7 D.3.3.6). */
const isCommonStorage = (item: CommonExtendedNegotiation | undefined): boolean =>
  item !== undefined && (item.serviceClassUID === storageServiceClassUID || item.relatedGeneralSopClassUIDs.some(isStorageSopClass));

function acceptsAbstractSyntax(uid: string, common: readonly CommonExtendedNegotiation[], policy: AcceptancePolicy): boolean {
  if (uid === verificationSopClassUID || isStorageSopClass(uid) || policy.otherAbstractSyntaxUIDs.includes(uid)) return true;
  if (!isAcceptableForStorage(uid)) return false;
  return policy.acceptPrivateStorage || isCommonStorage(common.find((item) => item.sopClassUID === uid));
}

function answerContext(context: ProposedContext, common: readonly CommonExtendedNegotiation[], policy: AcceptancePolicy): AnsweredContext {
  const { id, abstractSyntaxUID, transferSyntaxUIDs } = context;
  const known = transferSyntaxUIDs.find((uid) => isNegotiableTransferSyntax(uid) || policy.privateTransferSyntaxUIDs.includes(uid));
  const fallback = transferSyntaxUIDs.find(isUid) ?? '1.2.840.10008.1.2';
  if (!acceptsAbstractSyntax(abstractSyntaxUID, common, policy)) {
    return { id, result: contextResult.abstractSyntaxNotSupported, transferSyntaxUID: fallback };
  }
  return known === undefined
    ? { id, result: contextResult.transferSyntaxesNotSupported, transferSyntaxUID: fallback }
    : { id, result: contextResult.acceptance, transferSyntaxUID: known };
}

/** What we say in answer to the requestor's user information (PS3.7 D.3.3): nothing that was not proposed. */
function answerUserInformation(proposed: UserInformation, maxLengthBytes: number): UserInformation {
  const wantsIdentityResponse = proposed.userIdentity?.positiveResponseRequested === 1;
  return {
    maxLengthBytes, implementationClassUID, implementationVersionName,
    // Messages are handled one after the other (PS3.7 D.3.3.3).
    ...(proposed.asynchronousOperations && { asynchronousOperations: { maxInvoked: 1, maxPerformed: 1 } }),
    // The requestor is the SCU; we invoke nothing on its association (PS3.7 D.3.3.4).
    roleSelections: proposed.roleSelections.map(({ sopClassUID, scuRole }) => ({ sopClassUID, scuRole, scpRole: 0 })),
    extendedNegotiations: [],
    commonExtendedNegotiations: [],
    ...(wantsIdentityResponse && { userIdentityResponse: { serverResponse: Buffer.alloc(0) } }),
  };
}

/**
 * Answers an acceptable A-ASSOCIATE-RQ. The transfer syntax of a context is the first in the sender's order that is
 * known, since instances are kept as they come.
 *
 * @param maxLengthBytes our Maximum Length Received, PDU header excluded
 */
export const acceptAssociation = (request: AssociateRequest, policy: AcceptancePolicy, maxLengthBytes: number): AssociateAccept => ({
  protocolVersion: 1,
  calledAETitle: request.calledAETitle,
  callingAETitle: request.callingAETitle,
  applicationContextUID,
  presentationContexts: request.presentationContexts.map((context) =>
    answerContext(context, request.userInformation.commonExtendedNegotiations, policy)),
  userInformation: answerUserInformation(request.userInformation, maxLengthBytes),
});

/** A presentation context that both sides agreed on. */
export interface AcceptedContext {
  readonly id: number;
  readonly abstractSyntaxUID: string;
  readonly transferSyntaxUID: string;
}

/** What request and answer agree on, by context ID. An answer to a context that was not proposed is passed over. */
export function agreedContexts(request: AssociateRequest, answer: AssociateAccept): ReadonlyMap<number, AcceptedContext> {
  const proposed = new Map(request.presentationContexts.map((context) => [context.id, context.abstractSyntaxUID]));
  const accepted = answer.presentationContexts.flatMap(({ id, result, transferSyntaxUID }) => {
    const abstractSyntaxUID = proposed.get(id);
    return result === contextResult.acceptance && abstractSyntaxUID !== undefined ? [{ id, abstractSyntaxUID, transferSyntaxUID }] : [];
  });
  return new Map(accepted.map((context) => [context.id, context]));
}

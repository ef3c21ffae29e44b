import { isAcceptableForStorage, isStorageSopClass, storageServiceClassUID, verificationSopClassUID } from '../../dicom/sopClasses.ts';
import { explicitVRLittleEndian, implicitVRLittleEndian, isNegotiableTransferSyntax, transferSyntax } from '../../dicom/transferSyntaxes.ts';
import { applicationContextUID, implementationClassUID, implementationVersionName, isUid } from '../../dicom/uid.ts';
import type { CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection, UserIdentity, UserInformation } from './items.ts';
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
  /** What is negotiated for SOP Classes of services other than verification and storage, by UID. */
  readonly services: ReadonlyMap<string, ServicePolicy>;
  /** Instances are sent to requestors that take the SCP role for a Storage SOP Class, as C-GET asks (PS3.7 D.3.3.4). */
  readonly sendsInstances: boolean;
  /** Checks a proposed identity (PS3.7 D.3.3.7); absent, every identity is as good as none. */
  readonly acceptIdentity?: (identity: UserIdentity, callingAETitle: string) => boolean;
  /** True while new work is unwelcome: a full disk, a shutdown. */
  readonly isCongested?: () => boolean;
}

export const defaultPolicy: AcceptancePolicy = {
  calledAETitles: [], callingAETitles: [], acceptPrivateStorage: true, privateTransferSyntaxUIDs: [], services: new Map(), sendsInstances: false,
};

/** How a SOP Class other than storage is negotiated. */
export interface ServicePolicy {
  readonly transferSyntaxUIDs: readonly string[];
  /**
   * Service Class Application Information (PS3.7 D.3.3.5): for each byte, the most of an option that is supported; a
   * shorter proposal gets a shorter answer, a longer one no more bytes than these.
   */
  readonly extension?: readonly number[];
  /** The requestor may take the SCP role: it reports what we asked of it (PS3.4 J.3.3). */
  readonly requestorMayBeScp?: boolean;
}

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
  if (uid === verificationSopClassUID || isStorageSopClass(uid) || policy.services.has(uid)) return true;
  if (!isAcceptableForStorage(uid)) return false;
  return policy.acceptPrivateStorage || isCommonStorage(common.find((item) => item.sopClassUID === uid));
}

function answerContext(context: ProposedContext, user: UserInformation, policy: AcceptancePolicy): AnsweredContext {
  const { id, abstractSyntaxUID, transferSyntaxUIDs } = context;
  const fallback = transferSyntaxUIDs.find(isUid) ?? '1.2.840.10008.1.2';
  if (!acceptsAbstractSyntax(abstractSyntaxUID, user.commonExtendedNegotiations, policy)) {
    return { id, result: contextResult.abstractSyntaxNotSupported, transferSyntaxUID: fallback };
  }
  const service = policy.services.get(abstractSyntaxUID);
  const known = transferSyntaxUIDs.filter((uid) => service ? service.transferSyntaxUIDs.includes(uid)
    : isNegotiableTransferSyntax(uid) || policy.privateTransferSyntaxUIDs.includes(uid));
  const [first] = known;
  if (first === undefined) return { id, result: contextResult.transferSyntaxesNotSupported, transferSyntaxUID: fallback };
  // Where we alone send: implicit VR loses the VRs of private attributes, and nothing becomes lossy here that is not. Where we receive, the sender knows best.
  const weSend = roleOf(abstractSyntaxUID, user, policy)?.scuRole === 0;
  const isPoor = first === implicitVRLittleEndian || transferSyntax(first)?.lossy === true;
  const transferSyntaxUID = weSend && isPoor && known.includes(explicitVRLittleEndian) ? explicitVRLittleEndian : first;
  return { id, result: contextResult.acceptance, transferSyntaxUID };
}

/**
 * The roles of the requestor for a SOP Class, if it proposed any (PS3.7 D.3.3.4). As SCP of storage it takes what C-GET sends, as SCP of
 * storage commitment it reports; of other services it is SCU only. Some requestors propose both roles, or SCP alone: each is taken as proposed.
 */
function roleOf(sopClassUID: string, { roleSelections }: UserInformation, { sendsInstances, services }: AcceptancePolicy): RoleSelection | undefined {
  const proposed = roleSelections.find((role) => role.sopClassUID === sopClassUID);
  if (!proposed) return undefined;
  const service = services.get(sopClassUID);
  const mayBeScp = service ? service.requestorMayBeScp === true : sendsInstances && isAcceptableForStorage(sopClassUID);
  const scpRole = mayBeScp ? proposed.scpRole : 0;
  return { sopClassUID, scuRole: proposed.scuRole, scpRole };
}

function answerExtension({ sopClassUID, information }: ExtendedNegotiation, { services }: AcceptancePolicy): readonly ExtendedNegotiation[] {
  const supported = services.get(sopClassUID)?.extension;
  if (!supported) return [];
  const agreed = supported.slice(0, information.length).map((most, index) => Math.min(most, information[index]!));
  return [{ sopClassUID, information: Buffer.from(agreed) }];
}

/** What we say in answer to the requestor's user information (PS3.7 D.3.3): nothing that was not proposed. */
function answerUserInformation(proposed: UserInformation, policy: AcceptancePolicy, maxLengthBytes: number): UserInformation {
  const wantsIdentityResponse = proposed.userIdentity?.positiveResponseRequested === 1;
  return {
    maxLengthBytes, implementationClassUID, implementationVersionName,
    // Messages are handled one after the other (PS3.7 D.3.3.3).
    ...(proposed.asynchronousOperations && { asynchronousOperations: { maxInvoked: 1, maxPerformed: 1 } }),
    roleSelections: proposed.roleSelections.flatMap(({ sopClassUID }) => roleOf(sopClassUID, proposed, policy) ?? []),
    extendedNegotiations: proposed.extendedNegotiations.flatMap((item) => answerExtension(item, policy)),
    commonExtendedNegotiations: [],
    ...(wantsIdentityResponse && { userIdentityResponse: { serverResponse: Buffer.alloc(0) } }),
  };
}

/**
 * Answers an acceptable A-ASSOCIATE-RQ. The transfer syntax of a context is the first in the sender's order that is
 * known, since instances are kept as they come; a context in which only we send prefers explicit to implicit VR and to lossy compression.
 *
 * @param maxLengthBytes our Maximum Length Received, PDU header excluded
 */
export const acceptAssociation = (request: AssociateRequest, policy: AcceptancePolicy, maxLengthBytes: number): AssociateAccept => ({
  protocolVersion: 1,
  calledAETitle: request.calledAETitle,
  callingAETitle: request.callingAETitle,
  applicationContextUID,
  presentationContexts: request.presentationContexts.map((context) =>
    answerContext(context, request.userInformation, policy)),
  userInformation: answerUserInformation(request.userInformation, policy, maxLengthBytes),
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

/** A presentation context that was accepted, and whether the requestor performs operations in it as well. */
export interface AcceptedContextWithRole extends AcceptedContext {
  readonly requestorIsScp: boolean;
}

/** The accepted contexts as services see them. Without role selection the requestor is SCU alone (PS3.7 D.3.3.4). */
export function serviceContexts(request: AssociateRequest, answer: AssociateAccept): readonly AcceptedContextWithRole[] {
  const { roleSelections } = answer.userInformation;
  return [...agreedContexts(request, answer).values()].map((context) => ({
    ...context, requestorIsScp: roleSelections.some(({ sopClassUID, scpRole }) => sopClassUID === context.abstractSyntaxUID && scpRole === 1),
  }));
}

/** Service Class Application Information that was answered, by SOP Class. */
export const agreedExtensions = ({ userInformation }: AssociateAccept): ReadonlyMap<string, Buffer> =>
  new Map(userInformation.extendedNegotiations.map(({ sopClassUID, information }) => [sopClassUID, information]));

import assert from 'node:assert/strict';
import { nonPatientStorageSopClasses, storageServiceClassUID, storageSopClasses } from '../../../dicom/sopClasses.ts';
import { transferSyntaxes } from '../../../dicom/transferSyntaxes.ts';
import { acceptAssociation, agreedContexts, defaultPolicy, findRejection, isAETitle, serviceContexts, type AcceptancePolicy } from '../../../edge-gateway/upper-layer/negotiation.ts';
import type { AssociateRequest, ProposedContext } from '../../../edge-gateway/upper-layer/pdu.ts';
import type { UserInformation } from '../../../edge-gateway/upper-layer/items.ts';

const policy: AcceptancePolicy = { ...defaultPolicy, calledAETitles: ['PACS'] };
const ctImage = '1.2.840.10008.5.1.4.1.1.2';
const explicitLE = '1.2.840.10008.1.2.1';
const studyRootFind = '1.2.840.10008.5.1.4.1.2.2.1';

interface RequestParts extends Partial<Omit<AssociateRequest, 'userInformation'>> {
  readonly user?: Partial<UserInformation>;
}

const aRequest = ({ user, ...parts }: RequestParts = {}): AssociateRequest => ({
  protocolVersion: 1, calledAETitle: 'PACS', callingAETitle: 'CT1', applicationContextUID: '1.2.840.10008.3.1.1.1',
  presentationContexts: [{ id: 1, abstractSyntaxUID: ctImage, transferSyntaxUIDs: [explicitLE] }],
  userInformation: {
    maxLengthBytes: 16_384, implementationClassUID: '1.2.3', roleSelections: [], extendedNegotiations: [], commonExtendedNegotiations: [], ...user,
  },
  ...parts,
});

function answer(context: Omit<ProposedContext, 'id'>, parts: { policy?: Partial<AcceptancePolicy>; user?: Partial<UserInformation> } = {}): readonly [number, string] {
  const request = aRequest({ presentationContexts: [{ id: 7, ...context }], ...(parts.user && { user: parts.user }) });
  const [answered] = acceptAssociation(request, { ...policy, ...parts.policy }, 1_000).presentationContexts;
  return [answered!.result, answered!.transferSyntaxUID];
}

describe('acceptance of an association (PS3.8 9.3.4)', () => {
  for (const [what, parts, rejection] of [
    ['a called AE title that is not ours', { calledAETitle: 'OTHER' }, 'calledAETitleNotRecognized'],
    ['our AE title in other case', { calledAETitle: 'pacs' }, 'calledAETitleNotRecognized'],
    ['an empty called AE title', { calledAETitle: '' }, 'calledAETitleNotRecognized'],
    ['an empty calling AE title', { callingAETitle: '' }, 'callingAETitleNotRecognized'],
    ['a backslash in the calling AE title', { callingAETitle: 'A\\B' }, 'callingAETitleNotRecognized'],
    ['a control character in the calling AE title', { callingAETitle: 'A\nB' }, 'callingAETitleNotRecognized'],
    ['another application context', { applicationContextUID: '1.2.840.10008.3.1.1.2' }, 'applicationContextNotSupported'],
    ['a maximum length that leaves no room for a message', { user: { maxLengthBytes: 7 } }, 'noReason'],
  ] as const) {
    it(`is refused for ${what}`, () => {
      assert.equal(findRejection(aRequest(parts), policy), rejection);
    });
  }

  it('is given to any calling AE title when the list of them is empty, else to those on it', () => {
    assert.equal(findRejection(aRequest(), policy), undefined);
    assert.equal(findRejection(aRequest(), { ...policy, callingAETitles: ['CT1'] }), undefined);
    assert.equal(findRejection(aRequest(), { ...policy, callingAETitles: ['CT2'] }), 'callingAETitleNotRecognized');
  });

  it('is put off while congested', () => {
    assert.equal(findRejection(aRequest(), { ...policy, isCongested: () => true }), 'temporaryCongestion');
  });

  it('asks the policy about a user identity', () => {
    const userIdentity = { type: 1, positiveResponseRequested: 0, primary: Buffer.from('me'), secondary: Buffer.alloc(0) };
    const onlyMe: AcceptancePolicy = { ...policy, acceptIdentity: ({ primary }) => primary.toString() === 'me' };

    assert.equal(findRejection(aRequest({ user: { userIdentity } }), onlyMe), undefined);
    assert.equal(findRejection(aRequest({ user: { userIdentity: { ...userIdentity, primary: Buffer.from('you') } } }), onlyMe), 'noReason');
  });

  it('knows an AE title of 1 to 16 printable characters', () => {
    for (const title of ['A', 'SIXTEEN_CHARS_AE', 'WITH SPACE']) assert.ok(isAETitle(title), title);
    for (const title of ['', '   ', 'SEVENTEEN_CHARS_A', 'BACK\\SLASH', 'TAB\t', 'ÄÖÜ']) assert.ok(!isAETitle(title), title);
  });
});

describe('presentation contexts (PS3.8 9.3.3.2)', () => {
  it('are accepted for every Storage SOP Class in every transfer syntax that encodes data sets', () => {
    for (const abstractSyntaxUID of Object.keys(storageSopClasses)) {
      assert.equal(answer({ abstractSyntaxUID, transferSyntaxUIDs: [explicitLE] })[0], 0, abstractSyntaxUID);
    }
    for (const { uid, negotiable } of transferSyntaxes.values()) {
      assert.equal(answer({ abstractSyntaxUID: ctImage, transferSyntaxUIDs: [uid] })[0], negotiable ? 0 : 4, uid);
    }
  });

  it('take the first transfer syntax in the sender\'s order that is known', () => {
    const transferSyntaxUIDs = ['1.2.3.4', '1.2.840.10008.1.2.4.201', explicitLE];

    assert.deepEqual(answer({ abstractSyntaxUID: ctImage, transferSyntaxUIDs }), [0, '1.2.840.10008.1.2.4.201']);
  });

  it('take a private transfer syntax only when the policy lists it', () => {
    const context = { abstractSyntaxUID: ctImage, transferSyntaxUIDs: ['1.2.840.113619.5.2'] };

    assert.equal(answer(context)[0], 4);
    assert.deepEqual(answer(context, { policy: { privateTransferSyntaxUIDs: ['1.2.840.113619.5.2'] } }), [0, '1.2.840.113619.5.2']);
  });

  it('have result 4 without any transfer syntax', () => {
    assert.equal(answer({ abstractSyntaxUID: ctImage, transferSyntaxUIDs: [] })[0], 4);
  });

  it('have result 3 for services that are not here, and for UIDs that are none', () => {
    const others = [studyRootFind, '1.2.840.10008.1.20.1', storageServiceClassUID, ...Object.keys(nonPatientStorageSopClasses), '../../etc', '1.2.', '', '1'.repeat(65)];
    for (const abstractSyntaxUID of others) {
      assert.equal(answer({ abstractSyntaxUID, transferSyntaxUIDs: [explicitLE] })[0], 3, abstractSyntaxUID);
    }
  });

  it('are accepted for services that the policy adds', () => {
    const added = answer({ abstractSyntaxUID: studyRootFind, transferSyntaxUIDs: [explicitLE] }, { policy: { services: new Map([[studyRootFind, { transferSyntaxUIDs: [explicitLE] }]]) } });

    assert.equal(added[0], 0);
  });

  it('are accepted for private and newer storage classes when the policy says so', () => {
    for (const abstractSyntaxUID of ['1.3.12.2.1107.5.9.1', '1.2.840.10008.5.1.4.1.1.999.1']) {
      const context = { abstractSyntaxUID, transferSyntaxUIDs: [explicitLE] };

      assert.equal(answer(context)[0], 0);
      assert.equal(answer(context, { policy: { acceptPrivateStorage: false } })[0], 3);
    }
  });

  it('are accepted for a private class that Common Extended Negotiation declares as storage (PS3.7 D.3.3.6)', () => {
    const context = { abstractSyntaxUID: '1.3.12.2.1107.5.9.1', transferSyntaxUIDs: [explicitLE] };
    const strict = { acceptPrivateStorage: false };
    const declared = (serviceClassUID: string, ...relatedGeneralSopClassUIDs: string[]) =>
      ({ commonExtendedNegotiations: [{ sopClassUID: context.abstractSyntaxUID, serviceClassUID, relatedGeneralSopClassUIDs }] });

    assert.equal(answer(context, { policy: strict, user: declared(storageServiceClassUID) })[0], 0);
    assert.equal(answer(context, { policy: strict, user: declared('1.2.3', ctImage) })[0], 0);
    assert.equal(answer(context, { policy: strict, user: declared('1.2.3', studyRootFind) })[0], 3);
  });

  it('are agreed on only where the answer meets a proposal', () => {
    const request = aRequest();
    const accept = acceptAssociation(request, policy, 1_000);
    const forged = { ...accept, presentationContexts: [...accept.presentationContexts, { id: 99, result: 0, transferSyntaxUID: explicitLE }] };

    assert.deepEqual([...agreedContexts(request, forged).keys()], [1]);
  });
});

describe('user information in the answer (PS3.7 D.3.3)', () => {
  const userAnswer = (user: Partial<UserInformation>): UserInformation => acceptAssociation(aRequest({ user }), policy, 262_144).userInformation;

  it('holds nothing that was not proposed', () => {
    const { maxLengthBytes, implementationClassUID, implementationVersionName, ...rest } = userAnswer({});

    assert.equal(maxLengthBytes, 262_144);
    assert.match(implementationClassUID, /^2\.25\./);
    assert.ok(implementationVersionName!.length <= 16);
    assert.deepEqual(rest, { roleSelections: [], extendedNegotiations: [], commonExtendedNegotiations: [] });
  });

  it('offers one operation at a time to who proposes a window', () => {
    for (const maxInvoked of [0, 1, 8]) {
      assert.deepEqual(userAnswer({ asynchronousOperations: { maxInvoked, maxPerformed: 4 } }).asynchronousOperations, { maxInvoked: 1, maxPerformed: 1 });
    }
  });

  it('keeps the requestor in the SCU role, also when it proposes both', () => {
    const roleSelections = [{ sopClassUID: ctImage, scuRole: 1, scpRole: 1 }];

    assert.deepEqual(userAnswer({ roleSelections }).roleSelections, [{ sopClassUID: ctImage, scuRole: 1, scpRole: 0 }]);
  });

  it('lets requestors of C-GET be SCP of storage, alone or in both roles, and of nothing else', () => {
    const user = { roleSelections: [[ctImage, 0, 1], ['1.3.12.2.1107.5.9.1', 1, 1], [studyRootFind, 1, 1], ['1.2.840.10008.1.1', 1, 1]]
      .map(([sopClassUID, scuRole, scpRole]) => ({ sopClassUID, scuRole, scpRole }) as UserInformation['roleSelections'][number]) };
    const getting: AcceptancePolicy = { ...policy, sendsInstances: true, services: new Map([[studyRootFind, { transferSyntaxUIDs: [explicitLE] }]]) };
    const request = aRequest({ user, presentationContexts: [{ id: 1, abstractSyntaxUID: ctImage, transferSyntaxUIDs: ['1.2.840.10008.1.2', explicitLE] }] });

    const accept = acceptAssociation(request, getting, 1_000);

    assert.deepEqual(accept.userInformation.roleSelections.map(({ scuRole, scpRole }) => [scuRole, scpRole]), [[0, 1], [1, 1], [1, 0], [1, 0]]);
    assert.deepEqual(serviceContexts(request, accept).map(({ requestorIsScp }) => requestorIsScp), [true]);
    assert.equal(accept.presentationContexts[0]!.transferSyntaxUID, explicitLE, 'explicit VR where only we send');
    const contextOf = (...transferSyntaxUIDs: readonly string[]) =>
      acceptAssociation(aRequest({ user, presentationContexts: [{ id: 1, abstractSyntaxUID: ctImage, transferSyntaxUIDs }] }), getting, 1_000).presentationContexts[0]!.transferSyntaxUID;
    assert.equal(contextOf('1.2.840.10008.1.2.4.50', explicitLE), explicitLE, 'nothing is made lossy');
    assert.equal(contextOf('1.2.840.10008.1.2.4.90', explicitLE), '1.2.840.10008.1.2.4.90');
  });

  it('answers extended negotiation by what is supported, in no more bytes than were proposed', () => {
    const services = new Map([[studyRootFind, { transferSyntaxUIDs: [explicitLE], extension: [1, 0, 1] }]]);
    const answered = (information: Buffer, sopClassUID = studyRootFind) =>
      acceptAssociation(aRequest({ user: { extendedNegotiations: [{ sopClassUID, information }] } }), { ...policy, services }, 1_000).userInformation.extendedNegotiations;

    assert.deepEqual(answered(Buffer.of(1, 1, 1, 1, 1, 1)), [{ sopClassUID: studyRootFind, information: Buffer.of(1, 0, 1) }]);
    assert.deepEqual(answered(Buffer.of(0)), [{ sopClassUID: studyRootFind, information: Buffer.of(0) }]);
    assert.deepEqual(answered(Buffer.of(1), ctImage), []);
  });

  it('confirms a user identity when a positive response was asked for', () => {
    const userIdentity = { type: 5, positiveResponseRequested: 1, primary: Buffer.from('jwt'), secondary: Buffer.alloc(0) };

    assert.deepEqual(userAnswer({ userIdentity }).userIdentityResponse, { serverResponse: Buffer.alloc(0) });
    assert.equal(userAnswer({ userIdentity: { ...userIdentity, positiveResponseRequested: 0 } }).userIdentityResponse, undefined);
  });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UpperLayer } from '../../../edge-gateway/upper-layer/association.ts';
import type { AssociateAccept, AssociateRequest } from '../../../edge-gateway/upper-layer/pdu.ts';
import type { UpperLayerUser } from '../../../edge-gateway/upper-layer/primitives.ts';
import { actionFor, nextStates, type Action, type Event, type State } from '../../../edge-gateway/upper-layer/stateMachine.ts';
import { until } from '../../support/aDicomServer.ts';
import { abortPdu, associateRQ, command, echoRQ, item, pdu, releaseRQ } from '../../support/scriptedPeer.ts';

const releaseRP = pdu(6, Buffer.alloc(4));
const associateRJ = pdu(3, Buffer.of(0, 1, 1, 1));
/** PS3.8 9.3.3: context 1 accepted with Implicit VR Little Endian. */
const associateAC = pdu(2, Buffer.concat([
  Buffer.of(0, 1, 0, 0), Buffer.from('PACS'.padEnd(16)), Buffer.from('SCRIPT'.padEnd(16)), Buffer.alloc(32), item(0x10, '1.2.840.10008.3.1.1.1'),
  item(0x21, Buffer.concat([Buffer.of(1, 0, 0, 0), item(0x40, '1.2.840.10008.1.2')])), item(0x50, Buffer.concat([item(0x51, Buffer.of(0, 0, 64, 0)), item(0x52, '1.2.3')])),
]));
const data = command(1, echoRQ(1));

const userInformation = { maxLengthBytes: 16_384, implementationClassUID: '1.2.3', roleSelections: [], extendedNegotiations: [], commonExtendedNegotiations: [] };
const common = { protocolVersion: 1, calledAETitle: 'PACS', callingAETitle: 'SCRIPT', applicationContextUID: '1.2.840.10008.3.1.1.1', userInformation };
const request = { ...common, presentationContexts: [{ id: 1, abstractSyntaxUID: '1.2.840.10008.1.1', transferSyntaxUIDs: ['1.2.840.10008.1.2'] }] } as AssociateRequest;
const accept = { ...common, presentationContexts: [{ id: 1, result: 0, transferSyntaxUID: '1.2.840.10008.1.2' }] } as AssociateAccept;

/** One running upper layer and the literal bytes of its peer. */
interface World {
  readonly layer: UpperLayer;
  readonly peer: Socket;
  readonly indications: readonly string[];
  /** First byte of each PDU that came, and the body of A-ABORT and A-ASSOCIATE-RJ. */
  wire(): readonly string[];
}

/** Each state by the peer's bytes and the local user's primitives that lead there. Sta1 and Sta4 have no connection. */
const waysTo: Readonly<Record<Exclude<State, 1 | 4>, { readonly role: 'acceptor' | 'requestor'; readonly steps: readonly (Buffer | ((layer: UpperLayer) => void))[] }>> = (() => {
  const [established, requested] = [[associateRQ(), (layer: UpperLayer) => layer.accept(accept)], [associateAC]];
  const release = (layer: UpperLayer): void => layer.release();
  const respond = (layer: UpperLayer): void => layer.respondRelease();
  return {
    2: { role: 'acceptor', steps: [] }, 3: { role: 'acceptor', steps: [associateRQ()] }, 5: { role: 'requestor', steps: [] },
    6: { role: 'acceptor', steps: established }, 7: { role: 'acceptor', steps: [...established, release] }, 8: { role: 'acceptor', steps: [...established, releaseRQ] },
    9: { role: 'requestor', steps: [...requested, release, releaseRQ] }, 10: { role: 'acceptor', steps: [...established, release, releaseRQ] },
    11: { role: 'requestor', steps: [...requested, release, releaseRQ, respond] }, 12: { role: 'acceptor', steps: [...established, release, releaseRQ, releaseRP] },
    // By a release: after a reject or an abort our side of the connection has ended, and AA-7 has nowhere to write.
    13: { role: 'acceptor', steps: [...established, releaseRQ, respond] },
  };
})();

/** Each event of Table 9-10 that a peer or a user can bring about while there is a connection; 18 is the timer, waited for where it runs. */
const waysOf: Readonly<Partial<Record<Event, (world: World) => void>>> = {
  3: ({ peer }) => peer.write(associateAC), 4: ({ peer }) => peer.write(associateRJ), 6: ({ peer }) => peer.write(associateRQ()),
  7: ({ layer }) => layer.accept(accept), 8: ({ layer }) => layer.reject({ result: 1, source: 1, reason: 1 }), 9: ({ layer }) => void layer.send([data]),
  10: ({ peer }) => peer.write(data), 11: ({ layer }) => layer.release(), 12: ({ peer }) => peer.write(releaseRQ), 13: ({ peer }) => peer.write(releaseRP),
  14: ({ layer }) => layer.respondRelease(), 15: ({ layer }) => layer.abort(), 16: ({ peer }) => peer.write(abortPdu), 17: ({ peer }) => peer.resetAndDestroy(),
  18: () => undefined, 19: ({ peer }) => peer.write(pdu(99, Buffer.alloc(4))),
};

/** What an action shows on the wire (PS3.8 Tables 9-6 to 9-9): nothing unless it is here. */
const shown: Readonly<Partial<Record<Action, string>>> = {
  'AE-7': '2', 'AE-8': '3 00010101', 'DT-1': '4', 'AR-1': '5', 'AR-4': '6', 'AR-7': '4', 'AR-9': '6', 'AA-1': '7 00000000', 'AA-7': '7 00000202', 'AA-8': '7 00000202',
};
/** What an action tells the user. */
const told: Readonly<Partial<Record<Action, string>>> = {
  'AE-3': 'accepted', 'AE-4': 'rejected', 'AE-6': 'request', 'DT-2': 'data', 'AR-2': 'release', 'AR-3': 'released', 'AR-6': 'data', 'AR-8': 'release', 'AR-10': 'released',
  'AA-3': 'abort', 'AA-4': 'abort', 'AA-8': 'abort',
};
/** An invalid PDU is answered with the reason "unrecognized PDU" (PS3.8 Table 9-26), except where the action gives its own. */
const wireOf = (action: Action | undefined, event: Event): string | undefined => (action === 'AA-8' && event === 19 ? '7 00000201' : action && shown[action]);

describe('the running upper layer (PS3.8 Table 9-10), every state by every event over a socket', function () {
  this.timeout(30_000);
  let server: Server;
  const sockets: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  before(async () => {
    server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      waiting.shift()!(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => { for (const socket of sockets.splice(0)) socket.destroy(); });
  after(() => server.close());

  /** The layer's socket and the peer's, joined by TCP. */
  const open = async (role: 'acceptor' | 'requestor', artimTimeoutMs: number): Promise<World> => {
    const arrived = new Promise<Socket>((resolve) => waiting.push(resolve));
    // The peer does not close by itself when the layer ends its side: Sta13 lasts.
    const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, allowHalfOpen: role === 'acceptor' });
    sockets.push(socket);
    const indications: string[] = [];
    const tell = (what: string) => (): void => void indications.push(what);
    const user: UpperLayerUser = {
      associateIndication: tell('request'), associateConfirmation: (answer) => indications.push('accept' in answer ? 'accepted' : 'rejected'),
      fragment: tell('data'), releaseIndication: tell('release'), releaseConfirmation: tell('released'), abortIndication: tell('abort'), closed: () => undefined, busy: () => false,
    };
    const options = { maxLengthBytes: 16_384, maxAssociateLengthBytes: 65_536, artimTimeoutMs, idleTimeoutMs: 0 };
    // The requestor's own socket connects while the layer has it; the acceptor's is the one that came.
    const early = role === 'requestor' ? new UpperLayer(socket, user, options) : undefined;
    early?.associate(request, 'connect');
    const [came] = await Promise.all([arrived, socket.connecting ? once(socket, 'connect') : undefined]);
    const layer = early ?? new UpperLayer(came, user, options);
    if (!early) {
      came.allowHalfOpen = false;
      layer.awaitRequest();
    }
    const peer = early ? came : socket;
    let received = Buffer.alloc(0);
    peer.on('data', (chunk: Buffer) => { received = Buffer.concat([received, chunk]); }).on('error', () => undefined);
    const wire = (): readonly string[] => {
      const pdus: string[] = [];
      for (let at = 0; at + 6 <= received.length; at += 6 + received.readUInt32BE(at + 2)) {
        const type = received[at]!;
        pdus.push(type === 3 || type === 7 ? `${type} ${received.subarray(at + 6, at + 10).toString('hex')}` : `${type}`);
      }
      return pdus;
    };
    return { layer, peer, indications, wire };
  };

  const bringInto = async (state: keyof typeof waysTo, artimTimeoutMs: number): Promise<World> => {
    const { role, steps } = waysTo[state];
    const world = await open(role, artimTimeoutMs);
    for (const step of steps) {
      const before = world.layer.state;
      if (Buffer.isBuffer(step)) world.peer.write(step);
      else step(world.layer);
      await until(() => world.layer.state !== before, `the layer left Sta${before} on its way to Sta${state}`);
    }
    const sent = { 2: 0, 3: 0, 5: 1, 6: 1, 7: 2, 8: 1, 9: 2, 10: 2, 11: 3, 12: 2, 13: 2 }[state];
    await until(() => world.wire().length === sent, `the peer has what was sent on the way to Sta${state}`);
    assert.equal(world.layer.state, state);
    return world;
  };

  for (const state of Object.keys(waysTo).map(Number) as (keyof typeof waysTo)[]) {
    it(`Sta${state}`, async () => {
      for (const [event, bringAbout] of Object.entries(waysOf).map(([number, act]) => [Number(number) as Event, act!] as const)) {
        const action = actionFor(state, event);
        // Without an association there is nothing to abort: `abort` closes the connection.
        if (state === 2 && event === 15) continue;
        const world = await bringInto(state, event === 18 ? 300 : 20_000);
        const [sentBefore, toldBefore] = [world.wire().length, world.indications.length];
        const [first, second] = action ? nextStates[action] as readonly [State, State?] : [state];
        const next = action === 'AR-8' && waysTo[state].role === 'acceptor' ? second! : first;

        bringAbout(world);
        const here = `Sta${state} Evt${event} ${action ?? 'nothing'}`;
        await until(() => world.layer.state === next, `${here}: the next state is ${next}`);
        const onWire = wireOf(action, event);
        if (onWire) await until(() => world.wire().length > sentBefore, `${here}: something comes on the wire`);
        else await sleep(5);

        assert.deepEqual(world.wire().slice(sentBefore), onWire ? [onWire] : [], here);
        const news = action && told[action];
        assert.deepEqual(world.indications.slice(toldBefore), news ? [news] : [], here);
        assert.equal(world.layer.state, next, here);
        world.peer.destroy();
      }
    });
  }
});

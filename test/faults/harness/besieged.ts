import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { openAssociation } from '../../../edge-gateway/scu/association.ts';
import { storeOn } from '../../../edge-gateway/scu/store.ts';
import { aGatewayProcess, type GatewayProcess, type LogLine } from '../../support/gatewayProcess.ts';
import { ScriptedPeer, associatedPeer, ctImage, type RequestParts } from '../../support/scriptedPeer.ts';
import { aDataSet, aFolder, removeFolders } from '../../unit/spool/support.ts';

export const MiB = 1024 * 1024;
/** The time-outs that the gateway is given, in seconds: a test waits for one of them or for two. */
const [artim, idle] = [1, 2];
/** What the process may grow by, garbage that is not collected yet included. */
export const mostGrowthBytes = 200 * MiB;
export const hostileAddress = '127.0.0.2';
export const hostile = 'HOSTILE';

/** A gateway that a modality sends to, and somebody else tries their worst on. */
export interface Besieged {
  readonly gateway: GatewayProcess;
  readonly spoolDir: string;
  readonly good: GoodSender;
  /** Before anybody hostile came. */
  readonly restingBytes: number;
  readonly restingHandles: number;
  /** A connection of the hostile one, and an association. */
  connected(): Promise<ScriptedPeer>;
  associated(parts?: RequestParts): Promise<ScriptedPeer>;
  /** What was logged of the hostile one since the test began, but for the cloud's absence and associations that went well. */
  incidents(): readonly LogLine[];
  /** Waits for the one incident of this test. */
  oneLine(sentence: RegExp): Promise<void>;
}

/** One gateway for the suite that calls this. After each test the modality was served, and memory, handles and log are as they should be. */
export function besiegedGateway(): () => Besieged {
  let besieged: Besieged | undefined;
  let mark = 0;
  before('the gateway is up, and a modality sends', async function () {
    if (process.platform !== 'linux') return this.skip();
    const spoolDir = await aFolder();
    const gateway = await aGatewayProcess(spoolDir, { PACS_ARTIM_TIMEOUT_SECONDS: `${artim}`, PACS_IDLE_TIMEOUT_SECONDS: `${idle}` });
    const good = new GoodSender(gateway.dicomPort);
    await good.progress();
    const incidents = (): readonly LogLine[] =>
      gateway.log.slice(mark).filter(({ level, peerAddress, callingAETitle }) => level >= 40 && (peerAddress === hostileAddress || callingAETitle === hostile));
    besieged = {
      gateway, spoolDir, good, incidents, restingBytes: await gateway.memoryBytes(), restingHandles: await gateway.handleCount(),
      connected: () => ScriptedPeer.connect(gateway.dicomPort, hostileAddress),
      associated: (parts = {}) => associatedPeer(gateway.dicomPort, { callingAETitle: hostile, ...parts }, hostileAddress),
      oneLine: async (sentence) => {
        await until('the incident is logged', () => incidents().length > 0);
        assert.equal(incidents().length, 1, JSON.stringify(incidents()));
        assert.match(incidents()[0]!.msg, sentence);
      },
    };
  });
  beforeEach(() => { mark = besieged!.gateway.log.length; });
  afterEach('nobody else was harmed', async () => {
    const { gateway, good, restingBytes, restingHandles } = besieged!;
    await good.progress();
    await until('only the good association is left', async () => {
      const { associationCount, handshakeCount } = (await gateway.status()).associations;
      return associationCount === 1 && handshakeCount === 0;
    });
    await until('all file handles but a few are closed again', async () => await gateway.handleCount() <= restingHandles + 8);
    const grownBytes = await gateway.memoryBytes() - restingBytes;
    assert.ok(grownBytes < mostGrowthBytes, `${(grownBytes / MiB).toFixed(0)} MiB more`);
    assert.doesNotMatch(JSON.stringify(gateway.log), /DOE|JOHN/);
  });
  after('all are gone', async () => {
    await besieged?.good.stop();
    await besieged?.gateway.kill();
    await removeFolders();
  });
  return () => besieged!;
}

/** A modality that sends one instance after the other over one association, as long as the others try their worst. */
export class GoodSender {
  readonly statuses: number[] = [];
  problem: unknown;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(port: number) {
    this.#running = this.#send(port).catch((error: unknown) => { this.problem = error; });
  }

  async #send(port: number): Promise<void> {
    const contexts = [{ abstractSyntaxUID: ctImage, transferSyntaxUIDs: [explicitVRLittleEndian] }];
    const association = await openAssociation({ host: '127.0.0.1', port, calledAETitle: 'PACS', callingAETitle: 'GOOD', contexts });
    const [context] = association.contexts;
    for (let number = 1; !this.#stopped; number++) {
      const sopInstanceUID = `1.2.3.4.${number}`;
      const { status } = await storeOn(association, { context: context!, sopInstanceUID, dataSet: Readable.from([aDataSet({ sopInstanceUID, pixelBytes: 20_000 })]) });
      this.statuses.push(status);
      await sleep(20);
    }
    await association.release();
  }

  /** Resolves when another instance was taken. */
  async progress(): Promise<void> {
    const before = this.statuses.length;
    await until('the good association goes on', () => this.problem !== undefined || this.statuses.length > before + 1);
    assert.equal(this.problem, undefined);
    assert.deepEqual(this.statuses.filter((status) => status !== 0), []);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !await holds(); await sleep(10)) if (Date.now() > end) throw new Error(`it never happened that ${what}`);
}

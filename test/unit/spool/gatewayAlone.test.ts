import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { explicitVRLittleEndian } from '../../../dicom/transferSyntaxes.ts';
import { readConfig } from '../../../edge-gateway/config.ts';
import type { FlowClient, FlowMessage } from '../../../edge-gateway/flowClient.ts';
import { createGateway } from '../../../edge-gateway/gateway.ts';
import { storeInstances } from '../../../edge-gateway/scu/store.ts';
import { releasePack } from '../../../edge-gateway/spool/reader.ts';
import { FakeClock, aDataSet, aFolder, ctImageStorage, quiet, removeFolders, until } from './support.ts';

const day = 24 * 3_600_000;
const pixelBytes = 200_000;

/** A cloud that is away at first, and then takes each pack at once: its disk may forget it. */
class DistantCloud implements FlowClient {
  readonly told: FlowMessage[] = [];
  readonly spoolDir: string;
  away = true;
  keeps = false;
  calls = 0;

  constructor(spoolDir: string) {
    this.spoolDir = spoolDir;
  }

  async tell(message: FlowMessage): Promise<'told'> {
    this.calls++;
    if (this.away) throw new Error('connect ENETUNREACH');
    this.told.push(message);
    if (message.news.kind === 'packReady' && message.news.work.kind === 'spooled') await releasePack(this.spoolDir, message.news.work.pack, { keep: this.keeps });
    return 'told';
  }

  async close(): Promise<void> {}
}

async function aGatewayAlone(spoolDir: string, env: Readonly<Record<string, string>>) {
  const cloud = new DistantCloud(spoolDir);
  const clock = new FakeClock();
  const gateway = await createGateway(readConfig({
    PACS_TENANT_ID: 'demo', PACS_GATEWAY_ID: 'gw1', TEMPORAL_ADDRESS: 'unused:1', PACS_DICOM_PORT: '0', PACS_GATEWAY_HTTP_PORT: '0',
    PACS_SPOOL_DIR: spoolDir, PACS_URGENT_CALLING_AE_TITLES: 'STROKE', ...env,
  }), { client: cloud, log: quiet, clock });
  const { dicomPort, httpPort } = await gateway.start();
  const fetched = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${httpPort}${path}`)).text();
  let sent = 0;
  return {
    cloud, clock, gateway,
    status: async () => JSON.parse(await fetched('/status')) as { noRoom?: string; spool: { waitingPacks: number; bytes: number }; kept: { packs: number; bytes: number }; cloud: { problem?: string; behind: number } },
    metric: async (name: string) => Number(new RegExp(`^pacs_gateway_${name} (\\S+)$`, 'm').exec(await fetched('/metrics'))?.[1]),
    /** One association with one instance of about 200 KB. @returns the status */
    send: async (callingAETitle: string): Promise<number> => {
      const sopInstanceUID = `1.2.3.${++sent}`;
      const toSend = { sopClassUID: ctImageStorage, sopInstanceUID, transferSyntaxUID: explicitVRLittleEndian, open: async function* () { yield aDataSet({ sopInstanceUID, pixelBytes }); } };
      const [result] = await Array.fromAsync(storeInstances({ host: '127.0.0.1', port: dicomPort!, calledAETitle: 'PACS', callingAETitle }, [toSend]));
      return result?.outcome === 'answered' ? result.status : -1;
    },
  };
}

type Alone = Awaited<ReturnType<typeof aGatewayAlone>>;

/** Sends until it is refused, every third from an urgent modality. @returns how many were taken */
async function fill({ send }: Alone): Promise<number> {
  for (let taken = 0; ; taken++) {
    const answer = await send(taken % 3 === 2 ? 'STROKE' : 'CT1');
    if (answer !== 0) {
      assert.equal(answer, 0xa700);
      return taken;
    }
  }
}

/** Days pass, and every call to the cloud fails. */
async function passDays({ clock }: Alone, days: number): Promise<void> {
  for (let passed = 0; passed < days * day; passed += 60_000) {
    clock.pass(60_000);
    for (let tick = 0; tick < 3; tick++) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function drain(alone: Alone, taken: number): Promise<void> {
  alone.cloud.away = false;
  alone.clock.pass(30_000);
  await until(async () => (await alone.status()).spool.waitingPacks === 0 && alone.cloud.told.length === 2 * taken, 20_000);
}

describe('a gateway alone', function () {
  this.timeout(60_000);
  let running: Alone | undefined;
  afterEach(async () => {
    await running?.gateway.stop();
    running = undefined;
  });
  after(removeFolders);

  it('takes instances for days until its spool is full, says so, and hands everything over once, the urgent first', async () => {
    const alone = running = await aGatewayAlone(await aFolder(), { PACS_SPOOL_MIN_FREE_BYTES: '1', PACS_SPOOL_MAX_BYTES: String(12 * pixelBytes) });

    const taken = await fill(alone);
    await passDays(alone, 5);

    assert.ok(taken >= 10 && taken <= 13, `${taken} taken`);
    assert.ok(alone.cloud.calls > 5 * 24 * 60 / 2 && alone.cloud.calls < 5 * day / 15_000, `${alone.cloud.calls} calls in five days`);
    await until(async () => (await alone.status()).noRoom === 'spoolFull');
    const { spool, cloud } = await alone.status();
    assert.deepEqual([spool.waitingPacks, cloud.problem, cloud.behind], [taken, 'connect ENETUNREACH', taken]);
    assert.deepEqual([await alone.metric('no_room'), await alone.metric('cloud_reachable'), await alone.metric('waiting_packs')], [1, 0, taken]);
    assert.equal(await alone.metric('store_answers_total\\{status="A700"\\}'), 1);

    await drain(alone, taken);

    const packs = alone.cloud.told.filter(({ news }) => news.kind === 'packReady');
    const urgentCount = Math.floor(taken / 3);
    assert.equal(packs.length, taken, 'each once');
    assert.deepEqual(new Set(packs.slice(0, urgentCount).map(({ origin }) => origin.callingAETitle)), new Set(['STROKE']));
    assert.deepEqual(packs.map(({ priority }) => priority), [...Array<number>(urgentCount).fill(1), ...Array<number>(taken - urgentCount).fill(3)]);
    await until(async () => (await alone.status()).noRoom === undefined);
    assert.deepEqual([await alone.metric('no_room'), await alone.metric('cloud_reachable')], [0, 1]);
    assert.equal(await alone.send('CT1'), 0);
  });

  /** Sends far more than fits, and every pack is kept when it is released: none may stand in the way of the next. */
  async function flood(alone: Alone, count: number, mostBytes: number): Promise<void> {
    Object.assign(alone.cloud, { away: false, keeps: true });
    alone.clock.pass(30_000);
    for (let sent = 0; sent < count; sent++) {
      assert.equal(await alone.send('CT1'), 0, `instance ${sent}`);
      if (sent % 8 !== 7) continue;
      // At the pace of a cloud that keeps up, as the gateway sees it once a second.
      await until(async () => alone.cloud.told.length >= 2 * (sent + 1) && (await alone.status()).spool.waitingPacks === 0, 10_000);
      await until(async () => (await alone.status()).noRoom === undefined);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const { spool, kept } = await alone.status();
      assert.ok(spool.bytes + kept.bytes <= mostBytes, `${spool.bytes} and ${kept.bytes} bytes`);
    }
    const { kept } = await alone.status();
    assert.ok(kept.packs > 3 && kept.bytes > 3 * pixelBytes, `${kept.packs} packs are kept`);
    assert.deepEqual([await alone.metric('kept_packs'), await alone.metric('kept_bytes')], [kept.packs, kept.bytes]);
  }

  it('keeps what was released, and never lets that stand in the way of what arrives', async () => {
    const alone = running = await aGatewayAlone(await aFolder(), { PACS_SPOOL_MIN_FREE_BYTES: '1', PACS_SPOOL_MAX_BYTES: String(12 * pixelBytes) });

    await flood(alone, 40, 12 * pixelBytes);
  });

  describe('on a small disk', () => {
    let folder = '';
    let mounted = false;
    before(async () => {
      folder = await aFolder();
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' });
        mounted = true;
      } catch {
        // This user may not mount: the test is skipped.
      }
    });
    after(() => { if (mounted) execFileSync('umount', [folder]); });
    afterEach(async () => {
      await running?.gateway.stop();
      running = undefined;
    });

    it('stops at the room that must stay free, and goes on when the cloud has taken what waits', async function () {
      if (!mounted) this.skip();
      const alone = running = await aGatewayAlone(folder, { PACS_SPOOL_MIN_FREE_BYTES: '3000000' });

      const taken = await fill(alone);
      await until(async () => (await alone.status()).noRoom === 'diskFull');
      assert.equal(await alone.metric('no_room'), 1);
      assert.ok(await alone.metric('free_bytes') >= 1_500_000, 'what must stay free is not used up');
      await drain(alone, taken);

      await until(async () => (await alone.status()).noRoom === undefined);
      assert.equal(await alone.send('CT1'), 0);
    });

    it('fills the disk with what is kept, and gives that room up for what arrives', async function () {
      if (!mounted) this.skip();
      const alone = running = await aGatewayAlone(folder, { PACS_SPOOL_MIN_FREE_BYTES: '3000000' });

      await flood(alone, 48, 5_000_000);

      assert.ok(await alone.metric('free_bytes') >= 3_000_000, 'what must stay free is free');
    });
  });
});

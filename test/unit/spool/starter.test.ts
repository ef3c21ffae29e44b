import assert from 'node:assert/strict';
import type { PackOrigin } from '../../../domain/pack.ts';
import type { Priority } from '../../../domain/tenant.ts';
import type { FlowClient, FlowMessage } from '../../../edge-gateway/flowClient.ts';
import type { AssociationRecord } from '../../../edge-gateway/spool/record.ts';
import { isDone, waitingPacks } from '../../../edge-gateway/spool/record.ts';
import { Starter, lanes, tellAgainAfterMs, type StarterSpool } from '../../../edge-gateway/starter.ts';
import { FakeClock, anAssociation, quiet } from './support.ts';

class AboutTheMessage extends Error {}

/** The cloud in memory: takes messages, is away, or has workflows that are over. */
class FakeCloud implements FlowClient {
  readonly heard: string[] = [];
  readonly over = new Set<string>();
  readonly refused = new Set<string>();
  readonly started = new Map<string, { readonly callingAETitle: string; readonly priority: Priority }>();
  away = false;
  inFlight = 0;
  mostInFlight = 0;
  calls = 0;

  async tell({ origin, priority, news, reopen }: FlowMessage): Promise<'told' | 'over'> {
    this.calls++;
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    this.inFlight--;
    if (this.away) throw new Error('14 UNAVAILABLE');
    if (this.refused.has(origin.associationId)) throw new AboutTheMessage('3 INVALID_ARGUMENT');
    if (this.over.has(origin.associationId) && !reopen) return 'over';
    this.over.delete(origin.associationId);
    this.started.set(origin.associationId, { callingAETitle: origin.callingAETitle, priority });
    const what = news.kind === 'packReady' ? news.work.pack.packId : `end of ${news.end.packCount}`;
    this.heard.push(`${origin.associationId.slice(-4)} ${what}${reopen ? ' (again)' : ''}`);
    return 'told';
  }

  async close(): Promise<void> {}
}

function aRecord(packIds: readonly string[], ended = true, callingAETitle = 'CT1'): AssociationRecord {
  const { associationId, calledAETitle, acceptedAt } = anAssociation();
  const pack = (packId: string) => ({ tenantId: 'demo', gatewayId: 'gw1', associationId, packId, studyInstanceUID: '1.2', seriesInstanceUID: '1.2.1', lengthBytes: 1, instanceCount: 2 });
  return {
    associationId, tenantId: 'demo', origin: { kind: 'dimse', gatewayId: 'gw1', associationId, callingAETitle, calledAETitle, receivedAt: acceptedAt },
    packs: new Map(packIds.map((packId) => [packId, { pack: pack(packId), released: false, setAside: false }])),
    end: ended ? { how: 'released', packCount: packIds.length, instanceCount: 2 * packIds.length, at: acceptedAt } : undefined,
    endTold: false, releasedBefore: undefined,
  };
}

const urgentAETitle = 'STROKE';
const priorityOf = ({ callingAETitle }: PackOrigin): Priority => (callingAETitle === urgentAETitle ? 1 : 3);

function aStarter() {
  const cloud = new FakeCloud();
  const clock = new FakeClock();
  const spool: StarterSpool = {
    refresh: async () => undefined,
    markEndTold: async (record) => { record.endTold = true; },
    markReopened: async (record) => {
      const released = [...record.packs.values()].filter((state) => state.released);
      record.releasedBefore = { packCount: released.length, instanceCount: 2 * released.length };
      record.endTold = false;
    },
  };
  const starter = new Starter({ client: cloud, spool, clock, log: quiet, random: () => 1, priorityOf, isAboutTheMessage: (error) => error instanceof AboutTheMessage });
  return { cloud, clock, starter };
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 400; i++) await new Promise((resolve) => setImmediate(resolve));
};
const tail = (record: AssociationRecord): string => record.associationId.slice(-4);

describe('starter', () => {
  it('tells an association\'s packs in order, then its end, each once', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1', 'p2', 'p3']);

    starter.notice(record);
    starter.notice(record);
    await settle();

    assert.deepEqual(cloud.heard, [`${tail(record)} p1`, `${tail(record)} p2`, `${tail(record)} p3`, `${tail(record)} end of 3`]);
    assert.equal(record.endTold, true);
    assert.equal(starter.state.behind, 0);
  });

  it('tells a pack as soon as it closes, and the end when it comes', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1'], false);
    starter.notice(record);
    await settle();
    assert.deepEqual(cloud.heard, [`${tail(record)} p1`]);

    record.end = { how: 'aborted', packCount: 1, instanceCount: 2, at: '' };
    starter.notice(record);
    await settle();

    assert.deepEqual(cloud.heard, [`${tail(record)} p1`, `${tail(record)} end of 1`]);
  });

  it('delivers everything once, in order, after the cloud was away, and asks seldom meanwhile', async () => {
    const { cloud, clock, starter } = aStarter();
    const records = Array.from({ length: 50 }, () => aRecord(['p1', 'p2']));
    cloud.away = true;
    for (const record of records) starter.notice(record);
    await settle();
    for (let hour = 0; hour < 24; hour++) {
      for (let i = 0; i < 240; i++) {
        clock.pass(15_000);
        for (let tick = 0; tick < 4; tick++) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    assert.ok(cloud.calls > 1000 && cloud.calls < 24 * 3600 / 15, `${cloud.calls} calls`);
    assert.match(starter.state.problem!, /UNAVAILABLE/);

    cloud.away = false;
    clock.pass(30_000);
    for (let i = 0; i < 10; i++) await settle();

    assert.equal(cloud.heard.length, 150);
    for (const record of records) {
      const mine = cloud.heard.filter((line) => line.startsWith(tail(record)));
      if (mine.length === 3) assert.deepEqual(mine, ['p1', 'p2', 'end of 2'].map((what) => `${tail(record)} ${what}`));
    }
    assert.equal(starter.state.problem, undefined);
    assert.equal(starter.state.behind, 0);
    assert.ok(cloud.mostInFlight <= 8);
  }).timeout(20_000);

  it('tells everything urgent first when the cloud is back, at its priority', async () => {
    const { cloud, clock, starter } = aStarter();
    const records = Array.from({ length: 40 }, (_, index) => aRecord(['p1', 'p2'], true, index % 10 === 9 ? urgentAETitle : 'CT1'));
    cloud.away = true;
    for (const record of records) starter.notice(record);
    await settle();

    cloud.away = false;
    clock.pass(30_000);
    for (let i = 0; i < 10; i++) await settle();

    const urgent = records.filter((record) => record.origin.callingAETitle === urgentAETitle).map(tail);
    assert.equal(cloud.heard.length, 120);
    // One call finds out that the cloud is back; all lanes are open then, and the last urgent message shares them.
    assert.ok(cloud.heard.slice(0, 12 + lanes).filter((line) => urgent.includes(line.slice(0, 4))).length >= 12);
    for (const { callingAETitle, priority } of cloud.started.values()) assert.equal(priority, callingAETitle === urgentAETitle ? 1 : 3);
  });

  it('lets the others go on when the cloud does not take one association\'s message', async () => {
    const { cloud, clock, starter } = aStarter();
    const [bad, good] = [aRecord(['bad']), aRecord(['good'])];
    cloud.refused.add(bad.associationId);
    starter.notice(bad);
    starter.notice(good);
    await settle();
    assert.deepEqual(cloud.heard, [`${tail(good)} good`, `${tail(good)} end of 1`]);

    cloud.refused.clear();
    clock.pass(300_000);
    await settle();

    assert.equal(bad.endTold, true);
  });

  it('counts the end as told when the workflow is over and every pack was released', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1']);
    record.packs.get('p1')!.released = true;
    cloud.over.add(record.associationId);

    starter.notice(record);
    await settle();

    assert.deepEqual(cloud.heard, []);
    assert.ok(isDone(record));
  });

  it('starts the workflow again, for the packs that wait, when it is over though packs wait', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1', 'p2', 'p3']);
    record.packs.get('p1')!.released = true;
    cloud.over.add(record.associationId);

    starter.notice(record);
    await settle();

    assert.deepEqual(cloud.heard, [`${tail(record)} p2 (again)`, `${tail(record)} p3`, `${tail(record)} end of 2`]);
  });

  it('starts it ever more rarely when it is over at once, again and again', async () => {
    const { cloud, clock, starter } = aStarter();
    const record = aRecord(['p1']);
    const tell = cloud.tell.bind(cloud);
    cloud.over.add(record.associationId);
    cloud.tell = async (message) => {
      const answer = await tell(message);
      cloud.over.add(record.associationId);
      return answer;
    };
    starter.notice(record);
    for (let minute = 0; minute < 24 * 60; minute++) {
      clock.pass(60_000);
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    }

    assert.ok(cloud.heard.length > 3 && cloud.heard.length < 30, `${cloud.heard.length} starts`);
    assert.equal(waitingPacks(record).length, 1);
  }).timeout(20_000);

  it('tells again what the cloud has not released for hours', async () => {
    const { cloud, clock, starter } = aStarter();
    const record = aRecord(['p1']);
    starter.notice(record);
    await settle();
    clock.pass(tellAgainAfterMs);
    cloud.over.add(record.associationId);

    starter.review([record]);
    await settle();

    assert.deepEqual(cloud.heard.slice(2), [`${tail(record)} p1 (again)`, `${tail(record)} end of 1`]);
  });

  it('tells a pack that came back after it was set aside in the flow that is started again for it alone', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1', 'p2']);
    starter.notice(record);
    await settle();
    const state = record.packs.get('p1')!;
    record.packs.get('p2')!.released = true;
    state.setAside = true;
    cloud.over.add(record.associationId);
    starter.review([record]);
    await settle();
    assert.equal(cloud.heard.length, 3);

    state.setAside = false;
    starter.notice(record, ['p1']);
    await settle();

    assert.deepEqual(cloud.heard.slice(3), [`${tail(record)} p1 (again)`, `${tail(record)} end of 1`]);
  });

  it('forgets an association that is gone', async () => {
    const { cloud, starter } = aStarter();
    const record = aRecord(['p1']);
    starter.notice(record);
    await settle();

    starter.review([]);
    await settle();

    assert.equal(starter.state.behind, 0);
    assert.equal(cloud.heard.length, 2);
  });
});

import assert from 'node:assert/strict';
import { createRegisterPack } from '../../activities/ingest/registerPack.ts';
import { anAssociation } from './flows.ts';
import { aSite } from './site.ts';
import { aStudyOf } from './studies.ts';
import { temporal, type Temporal } from './temporal.ts';

describe('the history budget', () => {
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });
  const historyOf = async (workflowId: string): Promise<{ readonly events: number; readonly bytes: number }> => {
    const { raw } = await server.client.workflow.getHandle(workflowId).describe();
    return { events: Number(raw.workflowExecutionInfo?.historyLength), bytes: Number(raw.workflowExecutionInfo?.historySizeBytes) };
  };

  it('of an association is at most 36 events and 8 KB a pack', async function ingest() {
    this.timeout(60_000);
    const site = aSite();
    await server.openGateway(site.tenantId, site.gatewayId);
    const flow = await anAssociation(server.client, site);
    const packs = 20;

    for (let count = 0; count < packs; count++) await flow.ready(site.aPack());
    await flow.end(packs);
    await flow.result();

    const { events, bytes } = await historyOf(flow.handle.workflowId);
    console.log(`        ${(events / packs).toFixed(1)} events, ${Math.round(bytes / packs)} bytes a pack`);
    assert.ok(events <= 36 * packs, `${events} events`);
    assert.ok(bytes <= 8_000 * packs, `${bytes} bytes`);
  });

  it('of a study with 200 packs is at most 1000 events and 400 KB', async function study() {
    this.timeout(60_000);
    const study = aStudyOf();
    const registerPack = createRegisterPack({ client: () => server.client, quietMs: 2_000, closeAfterMs: 1_000 });
    const packs = Array.from({ length: 200 }, study.pack);

    await Promise.all(Array.from({ length: 4 }, async () => {
      for (let pack = packs.pop(); pack; pack = packs.pop()) await registerPack(pack, 3);
    }));
    await server.client.workflow.getHandle(study.workflowId).result();

    const { events, bytes } = await historyOf(study.workflowId);
    console.log(`        ${events} events, ${bytes} bytes, ${study.site.called('indexStudy').length} index writes`);
    assert.ok(events <= 1000, `${events} events`);
    assert.ok(bytes <= 400_000, `${bytes} bytes`);
  });
});

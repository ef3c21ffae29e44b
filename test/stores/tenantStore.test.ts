import assert from 'node:assert/strict';
import { MemoryTenantStore } from '../../stores/memory/memoryStores.ts';
import { createTenantStore } from '../../stores/s3/tenantStore.ts';
import { bootstrapStores } from '../../stores/bootstrap.ts';
import { aTenant } from '../support/aStudy.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { aConfig, tenantStoreSuite } from './tenantStore.suite.ts';

tenantStoreSuite('memory', async () => new MemoryTenantStore());
tenantStoreSuite('S3', async (context) => createTenantStore((await sharedStores(context)).bucket));

describe('TenantStore on a real S3 server', () => {
  it('answers from memory for a while, and sees a change by another process after it', async function test() {
    const { bucket } = await sharedStores(this.test!.ctx!);
    const [mine, theirs] = [createTenantStore({ ...bucket, cacheMs: 200 }), createTenantStore({ ...bucket, cacheMs: 0 })];
    const config = aConfig(aTenant());
    await mine.put(config, undefined);
    const read = await mine.get(config.tenantId);

    await theirs.put({ ...config, rules: [] }, read?.etag);

    assert.equal((await mine.get(config.tenantId))?.value.rules.length, 1);
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal((await mine.get(config.tenantId))?.value.rules.length, 0);
  });

  it('gets a configuration by bootstrap when there is none, and keeps one that is there', async function test() {
    const { env, bucket } = await sharedStores(this.test!.ctx!);
    const [fresh, known] = [aTenant(), aTenant()];
    const tenants = createTenantStore({ ...bucket, cacheMs: 0 });
    await tenants.put(aConfig(known), undefined);

    for (const _ of [1, 2]) await bootstrapStores({ ...env, PACS_TENANTS: ` ${fresh}, ${known} `, PACS_GATEWAY_ID: 'gw7', PACS_AE_TITLE: 'AE7' });

    assert.deepEqual((await tenants.get(fresh))?.value, { tenantId: fresh, gateways: [{ gatewayId: 'gw7', aeTitle: 'AE7' }], destinations: [], rules: [] });
    assert.deepEqual((await tenants.get(known))?.value, aConfig(known));
  });

  it('names all settings that bootstrap lacks', async () => {
    await assert.rejects(bootstrapStores({ S3_ENDPOINT: 'http://127.0.0.1:1' }), /PACS_S3_BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, OPENSEARCH_URL/);
  });
});

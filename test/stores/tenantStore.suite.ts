import assert from 'node:assert/strict';
import type { DestinationTls, TenantConfig } from '../../domain/tenant.ts';
import { VersionConflict, type TenantStore } from '../../stores/ports.ts';
import { aTenant } from '../support/aStudy.ts';

export const aConfig = (tenantId: string, change: Partial<TenantConfig> = {}): TenantConfig => ({
  tenantId, gateways: [{ gatewayId: 'gw1', aeTitle: 'PACS' }],
  destinations: [{ kind: 'dicom', destinationId: 'ws1', gatewayId: 'gw1', host: '127.0.0.1', port: 11113, calledAETitle: 'WS1' },
    { kind: 'dicomweb', destinationId: 'cloud', url: 'https://pacs.example/dicom-web' }],
  rules: [{ ruleId: 'r1', destinationId: 'ws1', attributes: { Modality: ['CT', 'MR'] }, priority: 2 }], ...change,
});

/** What every TenantStore does. */
export function tenantStoreSuite(name: string, make: (context: Mocha.Context) => Promise<TenantStore>): void {
  describe(`TenantStore: ${name}`, () => {
    let tenants: TenantStore;
    before(async function start() { tenants = await make(this); });

    it('knows no tenant that was not written, nor one that cannot exist', async () => {
      assert.equal(await tenants.get(aTenant()), undefined);
      assert.equal(await tenants.get('../other'), undefined);
    });

    it('gives back what was written', async () => {
      const config = aConfig(aTenant());

      await tenants.put(config, undefined);

      const read = await tenants.get(config.tenantId);
      assert.deepEqual(read?.value, config);
      assert.ok(read?.etag);
    });

    it('replaces only the version that was read', async () => {
      const config = aConfig(aTenant());
      await tenants.put(config, undefined);
      const etag = (await tenants.get(config.tenantId))?.etag;

      await tenants.put({ ...config, rules: [] }, etag);

      await assert.rejects(tenants.put(config, etag), VersionConflict);
      await assert.rejects(tenants.put(config, undefined), VersionConflict);
      await assert.rejects(tenants.put(aConfig(aTenant()), etag), VersionConflict);
      assert.deepEqual((await tenants.get(config.tenantId))?.value.rules, []);
    });

    it('takes TLS files of a destination by name alone, and a certificate only with its key', async () => {
      const dicom = { kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: 'ws', port: 2762, calledAETitle: 'WS' } as const;
      const withTls = (tls: DestinationTls): TenantConfig => aConfig(aTenant(), { destinations: [{ ...dicom, tls }], rules: [] });
      const whole = withTls({ caFile: 'ca.pem', certFile: 'gw1.pem', keyFile: 'gw1.key', serverName: 'ws.hospital.example' });

      await tenants.put(whole, undefined);

      assert.deepEqual((await tenants.get(whole.tenantId))?.value, whole);
      for (const caFile of ['../ca.pem', '/etc/ssl/ca.pem', '.', '']) await assert.rejects(tenants.put(withTls({ caFile }), undefined), /tls\.caFile: has to be the name of a file/);
      await assert.rejects(tenants.put(withTls({ certFile: 'gw1.pem' }), undefined), /certFile and keyFile together/);
    });

    it('refuses a configuration that cannot be, naming every fault', async () => {
      const config = aConfig(aTenant(), {
        gateways: [{ gatewayId: 'GW 1', aeTitle: 'SEVENTEEN-LETTERS' }],
        rules: [{ ruleId: 'r1', destinationId: 'nowhere' }],
      });

      await assert.rejects(tenants.put(config, undefined), (error: Error) => {
        assert.equal(error.name, 'InvalidTenantConfig');
        assert.match(error.message, /gateways\.0\.gatewayId: .*gateways\.0\.aeTitle: /);
        return true;
      });
      await assert.rejects(tenants.put({ ...config, gateways: [] }, undefined), /rule r1 names destination nowhere/);
      assert.equal(await tenants.get(config.tenantId), undefined);
    });
  });
}

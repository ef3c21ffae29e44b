import assert from 'node:assert/strict';
import { readConfig } from '../../../edge-gateway/config.ts';

const needed = { PACS_TENANT_ID: 'demo', PACS_GATEWAY_ID: 'gw1', TEMPORAL_ADDRESS: '127.0.0.1:7233', PACS_SPOOL_DIR: '/spool' };

describe('gateway configuration', () => {
  it('has a default for everything but tenant, gateway, Temporal and spool', () => {
    const config = readConfig(needed);

    assert.deepEqual(config.dicom, { host: '127.0.0.1', port: 11112, tls: undefined, aeTitle: 'PACS', callingAETitles: [], urgentCallingAETitles: [], acceptPrivateStorage: true, maxAssociations: 64,
      artimTimeoutMs: 30_000, idleTimeoutMs: 300_000 });
    assert.deepEqual(config.temporal, { address: '127.0.0.1:7233', namespace: 'pacs' });
    assert.deepEqual(config.spool, { dir: '/spool', minFreeBytes: undefined, maxSpoolBytes: undefined, keepMs: 72 * 3_600_000 });
  });

  it('names everything that is missing at once', () => {
    assert.throws(() => readConfig({}), /PACS_TENANT_ID is not set; PACS_GATEWAY_ID is not set; TEMPORAL_ADDRESS is not set; PACS_SPOOL_DIR is not set/);
  });

  it('names everything that is wrong at once', () => {
    const wrong = { ...needed, PACS_TENANT_ID: 'a/b', PACS_DICOM_PORT: '70000', PACS_AE_TITLE: 'A TITLE THAT IS TOO LONG', PACS_ACCEPT_PRIVATE_STORAGE: 'maybe', PACS_LOG_LEVEL: 'loud' };

    assert.throws(() => readConfig(wrong), (error: Error) => Object.keys(wrong).filter((name) => !(name in needed) || name === 'PACS_TENANT_ID').every((name) => error.message.includes(name)));
  });

  it('takes a TLS listener with its files, beside the plain one or instead of it', () => {
    const tls = { PACS_DICOM_TLS_PORT: '2762', PACS_DICOM_TLS_KEY_FILE: 'key.pem', PACS_DICOM_TLS_CERT_FILE: 'cert.pem', PACS_DICOM_TLS_CA_FILE: 'ca.pem' };

    const { dicom } = readConfig({ ...needed, ...tls, PACS_DICOM_PORT: 'off' });

    assert.deepEqual([dicom.port, dicom.tls], [undefined, { port: 2762, keyFile: 'key.pem', certFile: 'cert.pem', caFile: 'ca.pem' }]);
    assert.equal(readConfig({ ...needed, ...tls }).dicom.port, 11112);
    assert.throws(() => readConfig({ ...needed, PACS_DICOM_TLS_PORT: '2762' }), /PACS_DICOM_TLS_KEY_FILE is not set; PACS_DICOM_TLS_CERT_FILE is not set/);
    assert.throws(() => readConfig({ ...needed, PACS_DICOM_PORT: 'off' }), /PACS_DICOM_PORT is off and PACS_DICOM_TLS_PORT is not set/);
    assert.throws(() => readConfig({ ...needed, PACS_ARTIM_TIMEOUT_SECONDS: '0' }), /PACS_ARTIM_TIMEOUT_SECONDS is not a whole number from 1 to 3600/);
  });

  it('reads a list of calling AE titles', () => {
    assert.deepEqual(readConfig({ ...needed, PACS_CALLING_AE_TITLES: ' CT1, MR 1 ,' }).dicom.callingAETitles, ['CT1', 'MR 1']);
  });
});

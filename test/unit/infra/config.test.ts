import assert from 'node:assert/strict';
import { readConfig } from '../../../infra/config.ts';
import { ownEnvironment, urlsOf } from '../../../infra/native/environment.ts';
import { StackError } from '../../../infra/native/parts.ts';
import { closedAncestor, pathsOf } from '../../../infra/native/paths.ts';
import { DEFAULT_PORTS, freePorts, isFree, requireFree } from '../../../infra/native/ports.ts';
import net from 'node:net';

const keys = { accessKeyId: 'a', secretAccessKey: 's' };

describe('settings of the local stack', () => {
  it('moves every port by PACS_PORT_OFFSET, but not one that is set by name', () => {
    const { ports } = readConfig({ PACS_PORT_OFFSET: '100', PACS_DICOM_PORT: '104' });

    assert.equal(ports.api, 8180);
    assert.equal(ports.s3FilerGrpc, 18988);
    assert.equal(ports.dicom, 104);
  });

  it('refuses an offset that puts the API on a port no browser calls', () => {
    assert.throws(() => readConfig({ PACS_PORT_OFFSET: '2000' }), /Port 10080 \(api\)/);
    assert.equal(readConfig({ PACS_PORT_OFFSET: '2000', PACS_API_PORT: '10081' }).ports.api, 10081);
  });

  it('names everything that is wrong at once', () => {
    const env = { PACS_PORT_OFFSET: 'x', PACS_API_PORT: '70000', S3_ENDPOINT: 'http://s3.example' };

    assert.throws(() => readConfig(env), (error: Error) => error instanceof StackError
      && ['PACS_PORT_OFFSET', 'PACS_API_PORT', 'AWS_SECRET_ACCESS_KEY'].every((name) => error.message.includes(name)));
  });

  it('starts no server that an address names', () => {
    const { external } = readConfig({ TEMPORAL_ADDRESS: 'temporal:7233', OPENSEARCH_URL: 'http://os:9200' });

    assert.deepEqual(external, { temporalAddress: 'temporal:7233', opensearchUrl: 'http://os:9200' });
  });

  it('hands a person\'s settings to our processes, and keeps its own', () => {
    const { passedOn } = readConfig({ PACS_HOME: '/x', PACS_PORT_OFFSET: '1', PACS_STUDY_QUIET_SECONDS: '3', HOME: '/h' });

    assert.deepEqual(passedOn, { PACS_STUDY_QUIET_SECONDS: '3' });
  });

  it('lets what is given win over the default, and follows the gateway into its spool', () => {
    const site = { paths: pathsOf('/p'), ports: DEFAULT_PORTS, s3Keys: keys, external: {} };

    const env = ownEnvironment(site, { PACS_TENANT_ID: 'ward', PACS_DICOM_HOST: '0.0.0.0' });

    assert.equal(env['PACS_SPOOL_DIR'], '/p/spool/ward/gw1');
    assert.deepEqual(urlsOf(env).dicom, { host: '127.0.0.1', port: 11112, aeTitle: 'PACS', tls: false });
  });

  it('leads to the port with TLS when the one without is off', () => {
    const closed = { PACS_DICOM_PORT: 'off', PACS_DICOM_TLS_PORT: '2762' };

    const { ports, passedOn } = readConfig(closed);

    assert.deepEqual(urlsOf(ownEnvironment({ paths: pathsOf('/p'), ports, s3Keys: keys, external: {} }, passedOn)).dicom, { host: '127.0.0.1', port: 2762, aeTitle: 'PACS', tls: true });
    assert.equal(ports.dicom, 2762);
    assert.throws(() => readConfig({ PACS_DICOM_PORT: 'off' }), /give PACS_DICOM_TLS_PORT/);
  });
});

describe('ports', () => {
  it('chooses ports that differ and are free', async () => {
    const ports = Object.values(await freePorts());

    assert.equal(new Set(ports).size, ports.length);
    assert.ok(await isFree(ports[0] ?? 0));
  });

  it('names a port that is taken, who has it, and the setting that moves it', async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;

    const refusal = requireFree(['api'], { ...DEFAULT_PORTS, api: port });

    await assert.rejects(refusal, new RegExp(`Port ${port} \\(api: api\\) is taken.*PACS_PORT_OFFSET`, 's'));
    server.close();
  });
});

describe('folders that another user may not enter', () => {
  it('finds the first one on the way', () => {
    assert.equal(closedAncestor('/proc/self', (folder) => (folder === '/proc' ? 0o700 : 0o755)), '/proc');
    assert.equal(closedAncestor('/proc/self', () => 0o755), undefined);
  });
});

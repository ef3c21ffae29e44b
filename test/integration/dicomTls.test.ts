import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { connect as connectTls } from 'node:tls';
import { aGatewayProcess, type GatewayProcess } from '../support/gatewayProcess.ts';
import { runPeer, runScript, testPeers } from '../support/peers.ts';
import { makePublicKeys } from '../support/publicKeys.ts';
import { eventually } from '../support/stack.ts';
import { aFile } from '../unit/api/support.ts';
import { aFolder, removeFolders } from '../unit/spool/support.ts';

describe('the TLS listener of the gateway (PS3.15 B.12)', function () {
  this.timeout(120_000);
  const peers = testPeers();
  let pki: string;
  let gateway: GatewayProcess;
  let mark = 0;
  const file = (name: string): string => path.join(pki, name);

  before(async () => {
    pki = await aFolder();
    await makePublicKeys(pki, ['gateway', 'modality', 'renewed']);
    gateway = await aGatewayProcess(await aFolder(), {
      PACS_DICOM_PORT: 'off', PACS_DICOM_TLS_PORT: '0', PACS_DICOM_TLS_KEY_FILE: file('gateway.key'), PACS_DICOM_TLS_CERT_FILE: file('gateway.pem'),
      PACS_DICOM_TLS_CA_FILE: file('ca.pem'),
    });
    await writeFile(file('ct.dcm'), aFile({ study: '1.2.3', series: '1.2.3.1', instance: '1.2.3.1.1', instanceNumber: '1', patientName: 'Doe^Jane', pixels: Buffer.alloc(300_000, 1) }));
  });
  beforeEach(() => { mark = gateway.log.length; });
  after(async () => {
    await gateway?.kill();
    await removeFolders();
  });

  const incidents = (): readonly string[] => gateway.log.slice(mark).filter(({ level, peerAddress }) => level >= 40 && peerAddress !== undefined).map(({ msg }) => msg);
  const dcmtk = (tool: string, who: string | undefined, ...args: readonly string[]) => runPeer(tool, [
    ...(who ? ['+tls', file(`${who}.key`), file(`${who}.pem`)] : ['+tla']), '+cf', file('ca.pem'), '-aec', 'PACS', '127.0.0.1', `${gateway.dicomTlsPort}`, ...args]);

  it('opens no plain port when it is told so', () => {
    assert.equal(gateway.dicomPort, undefined);
    assert.ok(gateway.dicomTlsPort > 0);
  });

  it('answers echoscu and stores what storescu sends, with a client certificate that the CA signed', async () => {
    const echo = await dcmtk('echoscu', 'modality');
    const store = await dcmtk('storescu', 'modality', file('ct.dcm'));

    assert.deepEqual([echo.code, store.code], [0, 0], echo.output + store.output);
    assert.equal((await gateway.status()).associations['acceptedCount'], 2);
    assert.deepEqual(incidents(), []);
  });

  it('stores what pynetdicom sends', async () => {
    const tls = { ca: file('ca.pem'), key: file('modality.key'), cert: file('modality.pem') };

    const [sent] = await runScript<{ readonly status: number | null }>(peers().python, 'send_files.py', {
      host: '127.0.0.1', port: gateway.dicomTlsPort, calledAETitle: 'PACS', callingAETitle: 'PYNETDICOM', files: [file('ct.dcm')], tls });

    assert.equal(sent?.status, 0);
  });

  for (const [what, who] of [['no client certificate', undefined], ['a client certificate that somebody else signed', 'stranger']] as const) {
    it(`refuses ${what}, with one line`, async () => {
      const { code } = await dcmtk('echoscu', who);

      assert.notEqual(code, 0);
      await eventually('it is logged', () => incidents().length > 0);
      assert.deepEqual(incidents(), ['TLS handshake failed']);
    });
  }

  it('refuses a peer that speaks without TLS, with one line', async () => {
    const socket = connect(gateway.dicomTlsPort, '127.0.0.1').on('error', () => undefined);
    socket.write(Buffer.from('0100000000440001', 'hex'));
    await new Promise((resolve) => socket.once('close', resolve).resume());

    await eventually('it is logged', () => incidents().length > 0);
    assert.deepEqual(incidents(), ['TLS handshake failed']);
  });

  const handshake = (options: object): Promise<{ readonly protocol: string | null; readonly cipher: string; readonly subject: string } | string> => new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port: gateway.dicomTlsPort, rejectUnauthorized: false, ...options }, () => {
      resolve({ protocol: socket.getProtocol(), cipher: socket.getCipher().standardName, subject: String(socket.getPeerCertificate().subject.CN) });
      socket.destroy();
    }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  const asModality = async () => ({ key: await readFile(file('modality.key')), cert: await readFile(file('modality.pem')) });

  it('speaks TLS 1.2 and 1.3 with the ciphers of BCP 195, and nothing weaker', async () => {
    const modality = await asModality();

    assert.deepEqual(await handshake({ ...modality, maxVersion: 'TLSv1.2' }), { protocol: 'TLSv1.2', cipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', subject: 'gateway' });
    assert.deepEqual(await handshake({ ...modality, minVersion: 'TLSv1.3' }), { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', subject: 'gateway' });
    for (const weak of [{ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }]) {
      assert.equal(typeof await handshake({ ...modality, ...weak }), 'string', JSON.stringify(weak));
    }
  });

  it('takes a renewed certificate on SIGHUP, and keeps the old one while the new one cannot be used', async () => {
    const modality = await asModality();
    await writeFile(file('gateway.pem'), 'half a certif');
    gateway.child.kill('SIGHUP');
    await eventually('it is logged', () => gateway.log.slice(mark).some(({ msg }) => msg.includes('cannot be used')));
    assert.equal((await handshake(modality) as { subject: string }).subject, 'gateway');

    await cp(file('renewed.key'), file('gateway.key'));
    await cp(file('renewed.pem'), file('gateway.pem'));
    gateway.child.kill('SIGHUP');
    await eventually('it is logged', () => gateway.log.slice(mark).some(({ msg }) => msg.includes('were renewed')));

    assert.equal((await handshake(modality) as { subject: string }).subject, 'renewed');
    assert.equal((await dcmtk('echoscu', 'modality')).code, 0);
  });
});

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { echo } from '../../../edge-gateway/scu/echo.ts';
import { PeerUnreachable } from '../../../edge-gateway/scu/errors.ts';
import { aDicomServer, closeDicomServers, until } from '../../support/aDicomServer.ts';
import { ScriptedPeer, associateRQ } from '../../support/scriptedPeer.ts';

describe('an association over TLS (PS3.15 B.12)', () => {
  let key: Buffer;
  let cert: Buffer;

  before(function () {
    if (spawnSync('openssl', ['version']).error) this.skip();
    const folder = mkdtempSync(join(tmpdir(), 'tls-'));
    const paths = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=DNS:localhost', '-keyout', paths.key, '-out', paths.cert], { stdio: 'ignore' });
    key = readFileSync(paths.key);
    cert = readFileSync(paths.cert);
    rmSync(folder, { recursive: true });
  });
  afterEach(closeDicomServers);

  const peerAt = (port: number) => ({ host: 'localhost', port, callingAETitle: 'SENDER', calledAETitle: 'PACS' });

  it('answers C-ECHO of a peer that trusts the certificate', async () => {
    const { port } = await aDicomServer({ port: undefined, tls: { port: 0, options: { key, cert } } });

    assert.equal(await echo({ ...peerAt(port), tls: { ca: cert } }), 0);
  });

  it('does not come about for a peer that does not trust it', async () => {
    const { port } = await aDicomServer({ port: undefined, tls: { port: 0, options: { key, cert } } });

    await assert.rejects(echo({ ...peerAt(port), tls: {} }), (error) => error instanceof PeerUnreachable && /its certificate is not of the CA that is trusted here/.test(error.message));
  });

  it('does not come about with a peer that speaks without TLS, which is said', async () => {
    const { port } = await aDicomServer({ limits: { artimTimeoutMs: 200 } });

    await assert.rejects(echo({ ...peerAt(port), tls: { ca: cert } }), (error) => error instanceof PeerUnreachable && /does not speak TLS|disconnected before secure TLS/.test(error.message));
  });

  it('asks for a client certificate when the listener is told to', async () => {
    const { port } = await aDicomServer({ port: undefined, tls: { port: 0, options: { key, cert, ca: cert, requestCert: true, rejectUnauthorized: true } } });

    assert.equal(await echo({ ...peerAt(port), tls: { ca: cert, key, cert } }), 0);
    await assert.rejects(echo({ ...peerAt(port), tls: { ca: cert } }));
  });

  it('closes the connection of a peer that speaks without TLS, and logs it', async () => {
    const { port, incidents } = await aDicomServer({ port: undefined, tls: { port: 0, options: { key, cert } } });
    const peer = await ScriptedPeer.connect(port);

    peer.send(associateRQ());

    await peer.closed();
    await until(() => incidents.includes('TLS handshake failed'), 'the incident was logged');
  });
});

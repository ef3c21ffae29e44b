import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { DestinationTls } from '../../../domain/tenant.ts';
import { DestinationUnavailable } from '../../../stores/ports.ts';
import { createPeerOf } from '../../../workers/dicomPeer.ts';
import { aFolder, removeFolders } from '../spool/support.ts';

const destination = (tls?: DestinationTls) => ({ kind: 'dicom', destinationId: 'ws', gatewayId: 'gw1', host: 'ws.local', port: 11112, calledAETitle: 'WS', ...(tls && { tls }) } as const);

describe('the peer that a destination is', () => {
  after(removeFolders);

  it('is called as this gateway, unless the destination names another title', async () => {
    const peerOf = createPeerOf({ ownAETitle: 'PACS', tlsDir: undefined });

    assert.deepEqual(await peerOf(destination()), { host: 'ws.local', port: 11112, calledAETitle: 'WS', callingAETitle: 'PACS' });
    assert.equal((await peerOf({ ...destination(), callingAETitle: 'GATE' })).callingAETitle, 'GATE');
  });

  it('is called by TLS of the profile of the listener, and has to prove who it is', async () => {
    const { tls } = await createPeerOf({ ownAETitle: 'PACS', tlsDir: undefined })(destination({ serverName: 'ws.hospital.example' }));

    assert.deepEqual([tls?.minVersion, tls?.rejectUnauthorized, tls?.servername], ['TLSv1.2', true, 'ws.hospital.example']);
    assert.match(tls?.ciphers ?? '', /^TLS_AES_128_GCM_SHA256:.*ECDHE-RSA-AES256-GCM-SHA384$/);
  });

  it('is unavailable, with a sentence that names the file or the setting, while its TLS files cannot be used', async () => {
    const folder = await aFolder();
    await writeFile(path.join(folder, 'half.pem'), 'half a certif');
    const peerOf = (tlsDir: string | undefined, tls: DestinationTls) => createPeerOf({ ownAETitle: 'PACS', tlsDir })(destination(tls));
    const says = (pattern: RegExp) => (error: unknown): boolean => error instanceof DestinationUnavailable && pattern.test(error.message);

    await assert.rejects(peerOf(undefined, { caFile: 'ca.pem' }), says(/destination ws .*PACS_DESTINATION_TLS_DIR, where ca\.pem would lie, is not set/));
    await assert.rejects(peerOf(folder, { caFile: 'ca.pem' }), says(/ENOENT.*ca\.pem/));
    await assert.rejects(peerOf(folder, { certFile: 'half.pem', keyFile: 'half.pem' }), says(/destination ws cannot be used/));
  });
});

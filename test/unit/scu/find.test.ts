import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PeerTimeout, type Peer } from '../../../edge-gateway/scu/errors.ts';
import { QueryRefused, findInstances } from '../../../edge-gateway/scu/find.ts';
import { storeInstances } from '../../../edge-gateway/scu/store.ts';
import { aUID } from '../../support/aStudy.ts';
import { freePort, removeTempFolders, runPeer, startPeer, tempFolder, testPeers, type PeerProcess } from '../../support/peers.ts';
import { ctInstances } from '../../support/sender.ts';

describe('C-FIND at IMAGE level, with pynetdicom as the peer', function () {
  this.timeout(60_000);
  const peers = testPeers();
  const running: PeerProcess[] = [];
  afterEach(() => Promise.all(running.splice(0).map((peer) => peer.stop())));
  after(removeTempFolders);

  const whenUp = async (port: number): Promise<void> => {
    while ((await runPeer(peers().echoscu, ['127.0.0.1', `${port}`])).code !== 0) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  /** See test/support/odd_scp.py. */
  const anOddScp = async (mode: string): Promise<{ readonly peer: Peer; readonly kept: () => readonly string[] }> => {
    const [port, folder, kept] = [await freePort(), await tempFolder(), await tempFolder()];
    writeFileSync(path.join(folder, 'mode'), mode);
    running.push(startPeer(peers().python, [path.join(import.meta.dirname, '../../support/odd_scp.py'), `${port}`, path.join(folder, 'mode'), kept]));
    await whenUp(port);
    return { peer: { host: '127.0.0.1', port, callingAETitle: 'SENDER', calledAETitle: 'ODDSCP' }, kept: () => readdirSync(kept) };
  };
  const send = async (peer: Peer, study: string, options = {}) => {
    const [first, second] = [ctInstances({ study, series: aUID(), count: 40, pixelBytes: 1_000 }), ctInstances({ study, series: aUID(), count: 3, pixelBytes: 1_000 })];
    const series: string[] = [];
    for (const instances of [first, second]) {
      for await (const result of storeInstances(peer, instances, options)) assert.equal(result.outcome === 'answered' && result.status, 0);
      const at = instances[0]!.dataSet.indexOf(Buffer.from([0x20, 0, 0x0e, 0, 0x55, 0x49]));
      series.push(instances[0]!.dataSet.toString('latin1', at + 8, at + 8 + instances[0]!.dataSet.readUInt16LE(at + 6)).replace(/\0$/, ''));
    }
    return { series, uids: [...first, ...second].map(({ sopInstanceUID }) => sopInstanceUID) };
  };

  it('lists what a peer keeps, of the series that are asked for alone', async () => {
    const { peer, kept } = await anOddScp('keep');
    const study = aUID();
    const { series, uids } = await send(peer, study);

    const [all, second, none] = [await findInstances(peer, study, series), await findInstances(peer, study, [series[1]!]), await findInstances(peer, study, [aUID()])];

    assert.equal(kept().length, 43);
    assert.deepEqual([...all].toSorted(), uids.toSorted());
    assert.deepEqual([...second].toSorted(), uids.slice(40).toSorted());
    assert.equal(none.size, 0);
  });

  it('finds nothing at a peer that answered 0000H and kept nothing', async () => {
    const { peer, kept } = await anOddScp('lie');
    const study = aUID();
    const { series } = await send(peer, study);

    assert.deepEqual([(await findInstances(peer, study, series)).size, kept().length], [0, 0]);
  });

  it('is bounded when a peer takes a data set and never answers', async () => {
    const { peer } = await anOddScp('hang');

    await assert.rejects(send(peer, aUID(), { timeouts: { responseMs: 500 } }), PeerTimeout);
  });

  it('says that a peer does not search: nothing is known then', async () => {
    const [port, folder] = [await freePort(), await tempFolder()];
    running.push(startPeer(peers().storescp, ['+B', '-od', folder, '-aet', 'STORESCP', `${port}`]));
    await whenUp(port);

    await assert.rejects(findInstances({ host: '127.0.0.1', port, callingAETitle: 'SENDER', calledAETitle: 'STORESCP' }, aUID(), [aUID()]), QueryRefused);
  });
});

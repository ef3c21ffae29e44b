import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import type { Destination } from '../../domain/tenant.ts';
import { freePort, removeTempFolders, runPeer, startPeer, tempFolder, testPeers, type PeerProcess } from '../support/peers.ts';
import { madeStudy, sendFiles, type MadeStudy } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

/** What a neighbour in trouble may cost the others, in seconds. */
const boundSeconds = 15;

describe('destinations in trouble', function () {
  this.timeout(300_000);
  const pacs = sharedPacs();
  const peers = testPeers();
  const running: PeerProcess[] = [];
  const silent: { readonly server: Server; readonly sockets: Set<Socket> }[] = [];
  afterEach(async () => {
    await pacs().api.configure(() => ({ destinations: [], rules: [] }));
    for (const peer of running.splice(0)) await peer.stop();
    for (const { server, sockets } of silent.splice(0)) {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
  after(removeTempFolders);

  const archivedStudies = async (studies: number, count: number): Promise<readonly MadeStudy[]> => {
    const made: MadeStudy[] = [];
    for (let each = 0; each < studies; each++) made.push(await madeStudy(peers().python, await tempFolder(), 'CT_small.dcm', count));
    await sendFiles(peers().python, pacs().stack.urls.dicom, made.flatMap(({ files }) => files.map(({ file }) => file)));
    for (const { studyInstanceUID } of made) await eventually('the study is archived', async () => await pacs().api.findInstances(studyInstanceUID) === count);
    return made;
  };
  const stateOf = async (destinationId: string, { studyInstanceUID }: MadeStudy): Promise<readonly string[]> =>
    (await pacs().api.ledger(destinationId, studyInstanceUID)).instances.map(({ state }) => state);
  const delivered = (destinationId: string, studies: readonly MadeStudy[], timeoutMs = 120_000): Promise<unknown> => Promise.all(studies.map((study) =>
    eventually(`${destinationId} has every instance`, async () => {
      const states = await stateOf(destinationId, study);
      return states.length === study.files.length && states.every((state) => state === 'delivered');
    }, timeoutMs)));
  const flowsTo = async (destinationId: string, state: string): Promise<readonly { readonly flowId: string }[]> =>
    (await (await pacs().api.call(`flows?destinationId=${destinationId}&state=${state}`)).json() as { readonly flows: readonly { readonly flowId: string }[] }).flows;
  const dicom = (destinationId: string, port: number, more: object = {}): Destination =>
    ({ kind: 'dicom', destinationId, gatewayId: 'gw1', host: '127.0.0.1', port, calledAETitle: destinationId === 'good' ? 'STORESCP' : 'ODDSCP', ...more });
  const configure = (destinations: readonly Destination[]): Promise<void> =>
    pacs().api.configure(() => ({ destinations, rules: destinations.map(({ destinationId }) => ({ ruleId: destinationId, destinationId })) }));

  const startStorescp = async (port: number): Promise<string> => {
    const folder = await tempFolder();
    running.push(startPeer(peers().storescp, ['+B', '+xa', '-od', folder, '-aet', 'STORESCP', `${port}`]));
    await eventually('storescp answers', async () => (await runPeer(peers().echoscu, ['127.0.0.1', `${port}`])).code === 0);
    return folder;
  };
  /** See test/support/odd_scp.py. */
  const startOddScp = async (mode: string, port?: number) => {
    const folder = await tempFolder();
    const kept = await tempFolder();
    const modeFile = path.join(folder, 'mode');
    const listensOn = port ?? await freePort();
    const be = (next: string): void => writeFileSync(modeFile, next);
    be(mode);
    running.push(startPeer(peers().python, [path.join(import.meta.dirname, '../support/odd_scp.py'), `${listensOn}`, modeFile, kept]));
    await eventually('the odd SCP answers', async () => (await runPeer(peers().echoscu, ['127.0.0.1', `${listensOn}`])).code === 0);
    return { port: listensOn, be, kept: () => readdirSync(kept).toSorted() };
  };
  const onceEach = (studies: readonly MadeStudy[]): readonly string[] => studies.flatMap(({ files }) => files.map(({ sopInstanceUID }) => `${sopInstanceUID}-0.dcm`)).toSorted();
  /** Takes connections and never says a word. */
  const startSilent = async (): Promise<number> => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
    }).listen(0, '127.0.0.1');
    silent.push({ server, sockets });
    await new Promise((resolve) => server.once('listening', resolve));
    return (server.address() as AddressInfo).port;
  };

  it('cost their neighbour no more than a bound: one is dead, one hangs, one lies; and each gets everything, once, when it is well', async () => {
    const goodPort = await freePort();
    await startStorescp(goodPort);
    await configure([dicom('good', goodPort)]);
    const alone = await archivedStudies(4, 2);
    const startedAlone = Date.now();
    await delivered('good', alone);
    const aloneSeconds = (Date.now() - startedAlone) / 1000;

    const deadPort = await freePort();
    const lying = await startOddScp('lie');
    await configure([dicom('good', goodPort), dicom('dead', deadPort), dicom('hanging', await startSilent()), dicom('lying', lying.port, { confirmation: 'readBack' })]);
    const studies = await archivedStudies(4, 2);
    const started = Date.now();
    await delivered('good', studies);
    const seconds = (Date.now() - started) / 1000;
    console.log(`        the neighbour: ${aloneSeconds.toFixed(1)} s alone, ${seconds.toFixed(1)} s beside three in trouble`);

    for (const destinationId of ['dead', 'hanging']) {
      await eventually(`flows to ${destinationId} say that it is away`, async () => (await flowsTo(destinationId, 'DESTINATION_AWAY')).length >= 3);
    }
    const parked = await eventually('the flows to the liar wait for a person', async () => {
      const flows = await flowsTo('lying', 'ATTENTION');
      return flows.length === 4 && flows;
    }, 120_000);
    const liarSaid = await Promise.all(studies.map((study) => stateOf('lying', study)));
    const dead = await startOddScp('keep', deadPort);
    lying.be('keep');
    for (const { flowId } of parked) {
      assert.equal((await pacs().api.call(`flows/${flowId}/retry`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"why": "it was mended"}' })).status, 200);
    }
    await delivered('dead', studies);
    await delivered('lying', studies);

    assert.ok(seconds < aloneSeconds + boundSeconds, `${seconds} s instead of ${aloneSeconds} s`);
    assert.ok(liarSaid.flat().every((state) => state === 'waiting'), 'what a liar took is never delivered');
    assert.deepEqual(dead.kept(), onceEach(studies));
    assert.deepEqual(lying.kept(), onceEach(studies));
    const { instances } = await pacs().api.ledger('lying', studies[0]!.studyInstanceUID);
    assert.deepEqual(instances.map((entry) => (entry as { readonly confirmed?: { readonly by: string } }).confirmed?.by), ['readBack', 'readBack']);
  });

  it('that are out of room for a while get everything once they have room', async () => {
    const odd = await startOddScp('busy');
    await configure([dicom('odd', odd.port, { confirmation: 'readBack' })]);
    const studies = await archivedStudies(3, 2);
    await eventually('its flow says that it is out of room', async () => /A700H/.test((await pacs().api.flow(`${pacs().tenantId}/destination/odd`)).sentence ?? ''));
    const busy = await Promise.all(studies.map((study) => stateOf('odd', study).catch(() => [])));

    odd.be('keep');
    await delivered('odd', studies);

    assert.ok(busy.flat().every((state) => state === 'waiting'));
    assert.deepEqual(odd.kept(), onceEach(studies));
  });
});

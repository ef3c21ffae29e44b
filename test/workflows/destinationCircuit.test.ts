import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SendInstancesInput, SendInstancesResult } from '../../activities/route/sendInstances.ts';
import type { Trouble } from '../../domain/circuit.ts';
import type { Priority } from '../../domain/tenant.ts';
import { destinationWorkflowId } from '../../workflows/ids.ts';
import { aRoute, flowOf } from './flows.ts';
import { aSite, until } from './site.ts';
import { temporal, type Temporal } from './temporal.ts';

type Behaviour = 'well' | 'dead' | 'hangs on C-STORE';

/** A destination behind the fakes of a site: counts what is sent to it and how much of that at once. */
function aDestination(behaviour: Behaviour) {
  const destination = { behaviour, tries: [] as string[], delivered: [] as string[], probes: 0, atOnce: 0, mostAtOnce: 0 };
  let open: Trouble | undefined;
  const sendInstances = async ({ studyInstanceUID, turn }: SendInstancesInput): Promise<SendInstancesResult> => {
    const counts = { deliveredCount: 0, refusedCount: 0, alreadyThereCount: 0 };
    if (open && !turn) return { ...counts, held: { why: 'open', waitingCount: 1, progressed: false } };
    if (destination.atOnce === 2) return { ...counts, held: { why: 'busy', waitingCount: 1, progressed: false } };
    destination.tries.push(studyInstanceUID);
    destination.mostAtOnce = Math.max(destination.mostAtOnce, ++destination.atOnce);
    await sleep(50);
    destination.atOnce--;
    if (destination.behaviour !== 'well') return { ...counts, held: { why: 'failed', waitingCount: 1, progressed: false, problem: 'It did not answer within 60000 ms' } };
    destination.delivered.push(studyInstanceUID);
    return { ...counts, deliveredCount: 1 };
  };
  return {
    destination, isOpen: () => open !== undefined,
    fakes: {
      sendInstances,
      probeDestination: async () => {
        destination.probes++;
        return destination.behaviour === 'dead' ? { problem: 'Nobody answers C-ECHO' } : {};
      },
      setCircuit: async (request: { readonly open?: Trouble }) => { open = request.open; },
    },
  };
}

describe('destinationCircuit', function () {
  this.timeout(60_000);
  let server: Temporal;
  before(async function start() {
    server = await temporal(this);
  });
  const aWorld = (behaviour: Behaviour) => {
    const { destination, fakes, isOpen } = aDestination(behaviour);
    const site = aSite(fakes);
    return {
      destination, isOpen, site,
      route: (study: number, priority: Priority = 2) => aRoute(server.client, site, { studyInstanceUID: `1.2.${study}`, priority }),
      circuit: flowOf(server.client.workflow.getHandle(destinationWorkflowId(site.tenantId, 'archive'))),
    };
  };

  it('lets deliveries wait for a dead destination and finds out alone when it is back', async () => {
    const { destination, isOpen, route, circuit } = aWorld('dead');
    const first = await route(1);
    await until('the circuit is open', isOpen);
    const triesToOpen = destination.tries.length;
    const others = await Promise.all([route(2, 5), route(3, 3), route(4, 1), route(5, 3)]);
    for (const flow of [first, ...others]) await flow.reaches('DESTINATION_AWAY');
    const sentences = [await circuit.status(), await others[0]!.status()].map(({ sentence }) => sentence);
    await until('it was probed again', () => destination.probes >= 3);
    const triesWhileDead = destination.tries.length;

    destination.behaviour = 'well';
    await Promise.all([first, ...others].map((flow) => flow.result()));
    await circuit.result();

    assert.deepEqual([triesToOpen, triesWhileDead], [1, 1], 'no delivery runs into an open circuit');
    assert.match(sentences[0]!, /^Destination archive has not answered as it should since 20.*; the next try is at 20.*Nobody answers C-ECHO/);
    assert.match(sentences[1]!, /^Waits since 20.*destination archive; flow .*\/destination\/archive says when/);
    assert.deepEqual(destination.delivered.toSorted(), ['1.2.1', '1.2.2', '1.2.3', '1.2.4', '1.2.5']);
    assert.equal(destination.delivered[0], '1.2.4', 'the urgent one is first');
    assert.equal(destination.delivered.at(-1), '1.2.2', 'bulk is last');
    assert.deepEqual([isOpen(), await circuit.state(), await first.state()], [false, 'DONE', 'DONE']);
  });

  it('tries a destination that answers C-ECHO and hangs on C-STORE with one delivery at a time', async () => {
    const { destination, isOpen, route } = aWorld('hangs on C-STORE');
    const flows = [await route(1)];
    await until('the circuit is open', isOpen);
    destination.mostAtOnce = 0;
    flows.push(...await Promise.all([2, 3, 4, 5, 6].map((study) => route(study))));
    await until('it was tried thrice more', () => destination.tries.length >= 6);
    const [mostAtOnce, tried] = [destination.mostAtOnce, new Set(destination.tries).size];

    destination.behaviour = 'well';
    await Promise.all(flows.map((flow) => flow.result()));

    assert.equal(mostAtOnce, 1);
    assert.ok(tried > 1, 'a delivery that failed goes to the end of the queue');
    assert.equal(destination.delivered.length, 6);
  });

  it('lets no more deliveries run at once than the destination takes, each once', async () => {
    const { destination, route } = aWorld('well');

    const flows = await Promise.all(Array.from({ length: 12 }, (_, study) => route(study)));
    await Promise.all(flows.map((flow) => flow.result()));

    assert.equal(destination.mostAtOnce, 2);
    assert.deepEqual(destination.delivered.toSorted(), Array.from({ length: 12 }, (_, study) => `1.2.${study}`).toSorted());
  });

  it('goes on with the others when a waiting delivery is cancelled or terminated', async () => {
    const { destination, isOpen, route, circuit } = aWorld('dead');
    const flows = [await route(1, 1)];
    await until('the circuit is open', isOpen);
    flows.push(await route(2, 2), await route(3, 3));
    for (const flow of flows) await flow.reaches('DESTINATION_AWAY');

    await flows[0]!.handle.terminate('test');
    await flows[1]!.handle.cancel();
    destination.behaviour = 'well';
    await flows[2]!.result();

    await circuit.result();
    assert.deepEqual(destination.delivered, ['1.2.3']);
  });
});

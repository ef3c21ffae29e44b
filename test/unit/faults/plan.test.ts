import assert from 'node:assert/strict';
import { makePlan, nameOf } from '../../../bench/soak/plan.ts';
import { FaultList, type Call } from '../../faults/harness/faultList.ts';
import { createRandom } from '../../faults/harness/random.ts';
import { makeStudy, studyKinds } from '../../faults/harness/studies.ts';

const planOf = (seed: string) => makePlan(createRandom(seed).fork('plan'), 1_200, 1_800_000);

describe('the soak\'s plan', () => {
  it('is the same for the same seed, and another for another', () => {
    assert.deepEqual(planOf('7'), planOf('7'));
    assert.notDeepEqual(planOf('7'), planOf('8'));
  });

  it('spreads its faults over the whole time and has every kind', () => {
    const plan = planOf('7');

    assert.deepEqual(plan.map(({ atMs }) => atMs), plan.map(({ atMs }) => atMs).toSorted((a, b) => a - b));
    assert.ok(plan.at(-1)!.atMs > 1_798_000 && plan.at(-1)!.atMs <= 1_800_000);
    for (const kind of ['kill', 'killAtStep', 'killUnanswered', 's3', 'index', 'readOnlyIndex', 'temporal', 'link', 'slowLink', 'dicom', 'destination', 'api', 'diskFull', 'clock']) {
      assert.ok(plan.some((fault) => fault.kind === kind), kind);
    }
    assert.ok(plan.some((fault) => nameOf(fault) === 'two parts killed at once'));
  });

  it('goes with data that are the same for the same seed', () => {
    const digests = (seed: string) => studyKinds.filter((kind) => kind === 'mr' || kind === 'us').flatMap((kind) =>
      makeStudy(createRandom(seed), kind).instances.map(({ sopInstanceUID, dataSetSha256 }) => `${sopInstanceUID} ${dataSetSha256}`));

    const seven = new Set(digests('7'));
    assert.deepEqual(digests('7'), [...seven]);
    assert.deepEqual(digests('8').filter((digest) => seven.has(digest)), []);
  });
});

describe('a list of faults', () => {
  const call = (method: string): Call => ({ method, path: '/', request: '', answer: '', status: 0 });

  it('meets as many calls as it was told, of those it is for, and then is done', async () => {
    const faults = new FaultList();
    const armed = faults.arm({ matches: ({ method }) => method === 'PUT', moment: 'before', act: { kind: 'cut' }, times: 2 });

    const met = [call('GET'), call('PUT'), call('PUT'), call('PUT')].map((one) => faults.take(one, 'before') !== undefined);
    await armed.done;

    assert.deepEqual(met, [false, true, true, false]);
    assert.equal(armed.fired(), 2);
    assert.equal(faults.take(call('PUT'), 'after'), undefined);
  });

  it('meets nothing after it was disarmed', async () => {
    const faults = new FaultList();
    const armed = faults.arm({ matches: () => true, moment: 'after', act: { kind: 'cut' } });

    armed.disarm();
    await armed.done;

    assert.equal(faults.take(call('GET'), 'after'), undefined);
    assert.equal(armed.fired(), 0);
  });
});

import assert from 'node:assert/strict';
import { sendUntilAccepted } from './harness/senders.ts';
import { armKill, placeOf, processOf, stepMoments, steps } from './harness/steps.ts';
import { makeStudy } from './harness/studies.ts';
import { assertNothingLostOrDoubled, faultSuite, hasFired } from './harness/suite.ts';

describe('a worker that is killed at a named step', function () {
  this.timeout(240_000);
  const suite = faultSuite();

  // A kill leaves its flow waiting for a timeout; the next comes meanwhile, and all are compared in the end.
  for (const step of steps) {
    for (const moment of stepMoments) {
      const place = placeOf(step, moment);
      if (!place) continue;
      it(`dies with ${step} ${moment}`, async () => {
        const { site, book, random } = suite();
        const fault = armKill(site, place, [processOf(step)]);

        assert.ok(await sendUntilAccepted(site, makeStudy(random, 'ct', 3), book));
        await hasFired(`${step} ${moment}`, fault, 90_000);
        await site.restart(processOf(step));

        assert.equal(fault.fired(), 1);
      });
    }
  }

  it('has archived, indexed and delivered every instance once in the end', async () => {
    await assertNothingLostOrDoubled(suite());
  });
});

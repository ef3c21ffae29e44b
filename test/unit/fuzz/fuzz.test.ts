import fc from 'fast-check';
import { headerProperty, properties } from './properties.ts';

/** Runs end after this, whatever the machine; fast-check prints the seed and the smallest counterexample of a failure. */
const bounds = { numRuns: 5_000, interruptAfterTimeLimit: 6_000, markInterruptAsFailure: false } as const;

describe('whatever bytes come', function () {
  this.timeout(60_000);

  for (const [title, property] of Object.entries(properties)) {
    it(title, async () => {
      await fc.assert(property, bounds);
    });
  }

  it('the header reader says what is wrong and does not throw', async () => {
    await fc.assert(headerProperty, bounds);
  });
});

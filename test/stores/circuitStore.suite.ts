import assert from 'node:assert/strict';
import type { Trouble } from '../../domain/circuit.ts';
import type { CircuitStore } from '../../stores/ports.ts';
import { aTenant } from '../support/aStudy.ts';

const trouble = (failures: number): Trouble => ({ since: '2024-05-01T10:00:00.000Z', failures, problem: 'nobody answers', nextTryAt: '2024-05-01T10:05:00.000Z' });

/** What every CircuitStore does. */
export function circuitStoreSuite(name: string, make: (context: Mocha.Context) => Promise<CircuitStore>): void {
  describe(`CircuitStore: ${name}`, () => {
    let circuits: CircuitStore;
    before(async function start() { circuits = await make(this); });

    it('shows a circuit as it was last set, and as closed where none was', async () => {
      const tenantId = aTenant();

      const seen = [await circuits.get(tenantId, 'ws1')];
      for (const open of [undefined, trouble(3), trouble(4), undefined, undefined, trouble(5)]) {
        await circuits.set(tenantId, 'ws1', open);
        seen.push(await circuits.get(tenantId, 'ws1'));
      }

      assert.deepEqual(seen.map((open) => open?.failures), [undefined, undefined, 3, 4, undefined, undefined, 5]);
      assert.deepEqual(seen.at(-1), trouble(5));
    });

    it('keeps tenants and destinations apart', async () => {
      const [tenantId, other] = [aTenant(), aTenant()];

      await circuits.set(tenantId, 'ws1', trouble(3));

      assert.deepEqual([await circuits.get(other, 'ws1'), await circuits.get(tenantId, 'ws2')], [undefined, undefined]);
    });
  });
}

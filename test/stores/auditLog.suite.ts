import assert from 'node:assert/strict';
import type { AuditEvent } from '../../domain/audit.ts';
import type { AuditLog } from '../../stores/ports.ts';
import { aTenant, aUID } from '../support/aStudy.ts';

export const anEvent = (event: Partial<AuditEvent> = {}): AuditEvent => ({
  tenantId: 't', eventId: aUID(), at: '2024-05-01T10:00:00.000Z', action: 'pack.archived', actor: 'CT1@gw1', studyInstanceUID: '1.2',
  counts: { accepted: 3 }, detail: 'All good.', ...event,
});

/** What every AuditLog does. */
export function auditLogSuite(name: string, make: (context: Mocha.Context) => Promise<AuditLog>): void {
  describe(`AuditLog: ${name}`, () => {
    let audit: AuditLog;
    before(async function start() { audit = await make(this); });
    const all = { limit: 100, offset: 0 };

    it('gives a study\'s events in order of time, page by page', async () => {
      const tenantId = aTenant();
      const events = [3, 1, 2].map((second) => anEvent({ tenantId, at: `2024-05-01T10:00:0${second}.000Z` }));
      await audit.record(events);
      await audit.record([anEvent({ tenantId, studyInstanceUID: '1.3' }), anEvent({ tenantId: aTenant() })]);

      const history = await audit.history(tenantId, '1.2', all);
      const page = await audit.history(tenantId, '1.2', { limit: 1, offset: 1 });

      assert.deepEqual(history, { events: [events[1], events[2], events[0]], total: 3 });
      assert.deepEqual(page, { events: [events[2]], total: 3 });
    });

    it('takes an event once, and as it was first told', async () => {
      const event = anEvent({ tenantId: aTenant() });

      await audit.record([event, event]);
      await audit.record([{ ...event, at: '2024-05-02T10:00:00.000Z' }]);

      assert.deepEqual(await audit.history(event.tenantId, '1.2', all), { events: [event], total: 1 });
    });

    it('takes many events at once, of several tenants, and none', async () => {
      const [one, other] = [aTenant(), aTenant()];
      await audit.record([]);

      await audit.record(Array.from({ length: 150 }, (_, number) => anEvent({ tenantId: number % 2 ? one : other, eventId: `flow/x/${number}` })));

      assert.equal((await audit.history(one, '1.2', { limit: 10, offset: 0 })).total, 75);
      assert.equal((await audit.history(other, '1.2', { limit: 10, offset: 70 })).events.length, 5);
    });
  });
}

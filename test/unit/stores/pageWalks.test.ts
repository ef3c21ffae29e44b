import assert from 'node:assert/strict';
import { PageWalks } from '../../../stores/pageWalks.ts';
import type { SearchRequest } from '../../../stores/ports.ts';

describe('PageWalks', () => {
  const aRequest = (given: Partial<SearchRequest> = {}): SearchRequest => ({ tenantId: 't', level: 'studies', match: [{ path: ['00100010'], values: ['Doe*'] }], limit: 10, offset: 0, reader: 'jo', ...given });

  it('knows where the next page begins, for the same reader and search alone', () => {
    const walks = new PageWalks<string>();
    walks.gave(aRequest(), 10, 'j');

    assert.equal(walks.before(aRequest({ offset: 10 })), 'j');
    assert.equal(walks.before(aRequest({ offset: 10, limit: 5 })), 'j');
    for (const other of [{ offset: 0 }, { offset: 9 }, { offset: 10, reader: 'al' }, { offset: 10, tenantId: 'u' }, { offset: 10, level: 'series' }, { offset: 10, match: [] }] as const) assert.equal(walks.before(aRequest(other)), undefined);
  });

  it('begins anew with the first page, and forgets after ten minutes', () => {
    let now = 0;
    const walks = new PageWalks<string>(() => now);
    walks.gave(aRequest(), 10, 'j');
    walks.gave(aRequest({ offset: 10 }), 10, 't');
    assert.equal(walks.before(aRequest({ offset: 20 })), 't');

    walks.gave(aRequest(), 10, 'k');
    assert.equal(walks.before(aRequest({ offset: 20 })), undefined);
    assert.equal(walks.before(aRequest({ offset: 10 })), 'k');
    now = 11 * 60_000;
    assert.equal(walks.before(aRequest({ offset: 10 })), undefined);
  });

  it('keeps nothing of a page that was the last, nor of a search without a reader', () => {
    const walks = new PageWalks<string>();
    walks.gave(aRequest(), 3, 'c');
    const { reader: _, ...anonymous } = aRequest({ limit: 3 });
    walks.gave(anonymous, 3, 'c');

    assert.equal(walks.before(aRequest({ offset: 3 })), undefined);
    assert.equal(walks.before({ ...anonymous, offset: 3 }), undefined);
  });

  it('forgets the oldest of many', () => {
    const walks = new PageWalks<string>();
    for (let each = 0; each < 2_001; each++) walks.gave(aRequest({ reader: `r${each}` }), 10, 'j');

    assert.equal(walks.before(aRequest({ reader: 'r0', offset: 10 })), undefined);
    assert.equal(walks.before(aRequest({ reader: 'r2000', offset: 10 })), 'j');
  });
});

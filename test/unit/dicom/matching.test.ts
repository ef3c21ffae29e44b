import assert from 'node:assert/strict';
import { isUniversal, matches, matchesAttribute, matchesWildCard, normalizeForSearch, parseRange, valuesAsText, type QueryAttribute } from '../../../dicom/matching.ts';
import type { JsonValue } from '../../../dicom/json.ts';
import { seeded } from './dataSetBytes.ts';

const tag = '00100010';
const matchesOne = (vr: string, query: string | readonly string[], ...stored: readonly JsonValue[]): boolean =>
  matchesAttribute({ tag, vr, values: typeof query === 'string' ? [query] : query }, stored.length === 0 ? {} : { [tag]: { vr, Value: stored } });

/** Query, stored value, whether they match: one row a statement of PS3.4 C.2.2.2. */
const table: Readonly<Record<string, readonly (readonly [vr: string, query: string, stored: JsonValue, expected: boolean])[]>> = {
  'single value (C.2.2.2.1)': [
    ['LO', 'ABC', 'ABC', true], ['LO', 'abc', 'ABC', false], ['LO', 'ABC ', ' ABC', true], ['CS', 'CT', 'CT', true], ['CS', 'CT', 'CTX', false],
    ['IS', '1', 1, true], ['IS', '01', 1, true], ['DS', '1.50', 1.5, true], ['DS', '1.5', 'abc', false], ['US', '512', 512, true], ['IS', '1A', '1A', true],
    ['LT', ' a', 'a', false], ['LT', 'a  ', 'a', true], ['AT', '00080016', '00080016', true],
  ],
  'wild card (C.2.2.2.4)': [
    ['LO', 'A*C', 'ABBC', true], ['LO', 'A?C', 'ABC', true], ['LO', 'A?C', 'ABBC', false], ['SH', '*B*', 'ABC', true], ['LO', '?', '', false],
    ['UI', '1.2.*', '1.2.3', false], ['IS', '1*', 12, false], ['LO', 'A_C', 'ABC', false], ['LO', 'A%', 'AB', false], ['LO', 'A.C', 'ABC', false],
    ['LO', '[A]*', 'A', false], ['LO', 'a*', 'A', false], ['LO', '?', '𠮷', true],
  ],
  'person names': [
    ['PN', 'doe^john', { Alphabetic: 'Doe^John' }, true], ['PN', 'Doe^John^^', { Alphabetic: 'DOE^JOHN' }, true], ['PN', 'doe', { Alphabetic: 'Doe^John' }, false],
    ['PN', 'jerome*', { Alphabetic: 'Jérôme^A' }, true], ['PN', 'Jérôme', { Alphabetic: 'JEROME' }, true], ['PN', '*JOHN', { Alphabetic: 'Doe^John' }, true],
    ['PN', '山田*', { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' }, true], ['PN', 'Yamada*=山田*', { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' }, true],
    ['PN', 'Yamada*=田中*', { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' }, false], ['PN', '=山田*', { Ideographic: '山田^太郎' }, true],
    ['PN', 'か', { Phonetic: 'が' }, false], ['PN', '가', { Phonetic: '가' }, true],
  ],
  'dates and times (C.2.2.2.5)': [
    ['DA', '20240101', '20240101', true], ['DA', '20240101-20240131', '20240131', true], ['DA', '20240101-20240131', '20240201', false],
    ['DA', '-20240101', '19990101', true], ['DA', '20240101-', '20240101', true], ['DA', '20240101-', '20231231', false], ['DA', '2024.01.01', '20240101', true],
    ['DA', '20240101', '2024.01.01', true], ['DA', '2024', '20240101', false], ['DA', '20240101-', 'unknown', false],
    ['TM', '10-12', '125959.999', true], ['TM', '10-12', '130000', false], ['TM', '10', '1015', true], ['TM', '101500', '101500.5', true], ['TM', '1015-', '10', false],
    ['TM', '22-02', '23', false], ['TM', '10:15-10:20', '101700', true],
    ['DT', '202401', '20240131235959', true], ['DT', '2023-2024', '20240601', true], ['DT', '20240101-0500', '20240101060000+0000', true],
    ['DT', '20240101-0500', '20240101040000+0000', false], ['DT', '20240101100000+0200-20240101110000+0200', '20240101083000+0000', true],
    ['DT', '-2023', '20240101', false], ['DT', '202402-', '20240229', true],
  ],
};

describe('attribute matching', () => {
  for (const [title, rows] of Object.entries(table)) {
    it(`follows PS3.4 C.2.2.2 for ${title}`, () => {
      for (const [vr, query, stored, expected] of rows) {
        assert.equal(matchesOne(vr, query, stored), expected, `${vr} ${query} ~ ${JSON.stringify(stored)}`);
      }
    });
  }

  it('matches everything, also what has no value, when the key is empty or only asterisks', () => {
    assert.ok(matchesOne('LO', []) && matchesOne('LO', '') && matchesOne('LO', '*') && matchesOne('PN', '**'));
    assert.ok(!matchesOne('UI', '*') && !matchesOne('LO', '?') && !matchesOne('LO', 'A'));
    assert.ok(isUniversal({ tag, vr: 'SQ', values: [], item: [{ tag, vr: 'LO', values: [] }] }));
  });

  it('takes any UID of a list', () => {
    assert.ok(matchesOne('UI', ['1.2', '1.3'], '1.3'));
    assert.ok(!matchesOne('UI', ['1.2', '1.3'], '1.4'));
  });

  it('takes any value of an attribute that has several', () => {
    assert.ok(matchesOne('CS', 'MR', 'CT', 'MR'));
    assert.ok(matchesOne('CS', 'MR', null, 'MR'));
  });

  it('wants all keys of a sequence in one item, and looks at every item', () => {
    const key = (keyTag: string, value: string): QueryAttribute => ({ tag: keyTag, vr: 'SH', values: [value] });
    const query: QueryAttribute = { tag: '00400275', vr: 'SQ', values: [], item: [key('00400009', 'A'), key('00401001', 'B')] };
    const item = (a: string, b: string) => ({ '00400009': { vr: 'SH', Value: [a] }, '00401001': { vr: 'SH', Value: [b] } });

    assert.ok(matches([query], { '00400275': { vr: 'SQ', Value: [item('X', 'Y'), item('A', 'B')] } }));
    assert.ok(!matches([query], { '00400275': { vr: 'SQ', Value: [item('A', 'Y'), item('X', 'B')] } }));
    assert.ok(!matches([query], {}));
  });

  it('wants every key of a query', () => {
    const query = [{ tag, vr: 'LO', values: ['A'] }, { tag: '00100020', vr: 'LO', values: ['B'] }];

    assert.ok(matches(query, { [tag]: { vr: 'LO', Value: ['A'] }, '00100020': { vr: 'LO', Value: ['B'] } }));
    assert.ok(!matches(query, { [tag]: { vr: 'LO', Value: ['A'] } }));
  });
});

describe('matchesWildCard', () => {
  it('agrees with a regular expression on generated patterns', () => {
    const random = seeded(8);
    const word = (letters: string): string => Array.from({ length: Math.floor(random() * 8) }, () => letters[Math.floor(random() * letters.length)]).join('');

    for (let round = 0; round < 5000; round += 1) {
      const [pattern, text] = [word('ab*?'), word('ab')];
      const expected = new RegExp(`^${pattern.replace(/\*/g, '.*').replace(/\?/g, '.')}$`).test(text);
      assert.equal(matchesWildCard(pattern, text), expected, `${pattern} ~ ${text}`);
    }
  });

  it('needs no long time for a hostile pattern', () => {
    assert.equal(matchesWildCard('*a'.repeat(500), 'a'.repeat(499) + 'b'.repeat(500)), false);
  });
});

describe('the form in which index and query compare', () => {
  it('is the same for names that are the same to a person', () => {
    for (const name of ['BUC^Jérôme^^', 'buc^jerome', ' Buc ^ Je\u0301rome', 'Buc^JÉRÔME']) {
      assert.equal(normalizeForSearch('PN', name), 'buc^jerome');
    }
  });

  it('does not change when applied again', () => {
    for (const [vr, value] of [['PN', 'ÅÄÖ^İ'], ['LO', ' a '], ['DA', '2024.01.01'], ['CS', 'CT'], ['PN', '김^희중']] as const) {
      const once = normalizeForSearch(vr, value);
      assert.equal(normalizeForSearch(vr, once), once);
    }
  });

  it('orders times as they follow each other', () => {
    assert.ok(normalizeForSearch('TM', '0959') < normalizeForSearch('TM', '10'));
    assert.equal(normalizeForSearch('DT', '20240101000000+0100'), '20231231230000.000000');
    assert.equal(normalizeForSearch('DA', 'soon'), '');
  });
});

describe('parseRange', () => {
  it('gives inclusive bounds, open where nothing stands', () => {
    assert.deepEqual(parseRange('DA', '20240101-20240131'), { from: '20240101', to: '20240131' });
    assert.deepEqual(parseRange('DA', '-20240131'), { to: '20240131' });
    assert.deepEqual(parseRange('TM', '10-'), { from: '100000.000000' });
    assert.deepEqual(parseRange('DT', '202402'), { from: '20240201000000.000000', to: '20240229235959.999999' });
  });

  it('gives nothing for what is no range', () => {
    for (const text of ['', '-', 'today', '2024-01-01', '20240101-20240131-', '20240101--20240131']) {
      assert.equal(parseRange('DA', text), undefined, text);
    }
    assert.equal(parseRange('TM', '1'), undefined);
  });
});

describe('valuesAsText', () => {
  it('gives one text a value', () => {
    assert.deepEqual(valuesAsText({ vr: 'PN', Value: [{ Alphabetic: 'A^B', Phonetic: 'C' }] }), ['A^B==C']);
    assert.deepEqual(valuesAsText({ vr: 'IS', Value: [1, null, 2] }), ['1', '2']);
    assert.deepEqual(valuesAsText(undefined), []);
  });
});

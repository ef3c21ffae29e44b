import assert from 'node:assert/strict';
import { buildStudyDocuments } from '../../../domain/documents.ts';
import { planRoutes, ruleMatches, type RoutedStudy } from '../../../domain/routing.ts';
import type { Destination, RoutingRule, TenantConfig } from '../../../domain/tenant.ts';
import { aPackIndex, aUID } from '../../support/aStudy.ts';

const study = (): RoutedStudy => {
  const studyInstanceUID = aUID();
  const attributes = { PatientName: 'Doe^Jane', StudyDescription: 'CT Head (native)+' };
  const packs = [
    aPackIndex({ tenantId: 'demo', studyInstanceUID, attributes: { ...attributes, Modality: 'CT' } }),
    aPackIndex({ tenantId: 'demo', studyInstanceUID, attributes: { ...attributes, Modality: 'SR', SeriesDescription: ' Dose report ' } }),
  ];
  return { documents: buildStudyDocuments(packs), origins: [{ gatewayId: 'gw1', callingAETitle: 'CT1' }, { gatewayId: 'gw2', callingAETitle: 'WS' }] };
};
const matches = (rule: Partial<RoutingRule>): boolean => ruleMatches({ ruleId: 'r', destinationId: 'd', ...rule }, study());

describe('ruleMatches', () => {
  it('matches every study without conditions, none when it is switched off', () => {
    assert.deepEqual([matches({}), matches({ callingAETitles: [], gatewayIds: [], attributes: {} }), matches({ enabled: false }), matches({ enabled: true })], [true, true, false, true]);
  });

  it('looks for calling AE title and gateway in all the packs of a study', () => {
    assert.deepEqual([matches({ callingAETitles: ['X', 'WS'] }), matches({ callingAETitles: ['ws'] }), matches({ gatewayIds: ['gw2'] }), matches({ gatewayIds: ['gw3'] })], [true, false, true, false]);
  });

  const cases: readonly (readonly [Readonly<Record<string, string | readonly string[]>>, boolean])[] = [
    [{ Modality: 'SR' }, true], [{ Modality: 'MR' }, false], [{ Modality: ['MR', 'CT'] }, true], [{ Modality: [] }, false], [{ ModalitiesInStudy: 'c?' }, true],
    [{ StudyDescription: 'ct head*' }, true], [{ StudyDescription: 'CT Head (native)+' }, true], [{ StudyDescription: 'CT Head .native.*' }, false],
    [{ SeriesDescription: 'dose report' }, true], [{ PatientName: 'doe*' }, true], [{ Modality: 'CT', StudyDescription: '*MR*' }, false],
    [{ NoSuchKeyword: '*' }, false], [{ AccessionNumber: '*' }, false], [{ RequestAttributesSequence: '*' }, false], [{ toString: '*' }, false],
  ];
  for (const [attributes, expected] of cases) {
    it(`${expected ? 'matches' : 'does not match'} ${JSON.stringify(attributes)}`, () => assert.equal(matches({ attributes }), expected));
  }

  it('takes no longer for a pattern full of stars', () => {
    const started = performance.now();
    const documents = buildStudyDocuments([aPackIndex({ attributes: { StudyDescription: 'a'.repeat(10_000) } })]);

    assert.equal(ruleMatches({ ruleId: 'r', destinationId: 'd', attributes: { StudyDescription: `${'*a'.repeat(30)}*b` } }, { documents, origins: [] }), false);
    assert.ok(performance.now() - started < 1_000);
  });
});

describe('planRoutes', () => {
  const destinations: readonly Destination[] = [
    { kind: 'dicom', destinationId: 'pacs2', gatewayId: 'gw1', host: '127.0.0.1', port: 104, calledAETitle: 'PACS2' },
    { kind: 'dicomweb', destinationId: 'web', url: 'https://web.example/dicom-web' },
  ];
  const plan = (...rules: readonly RoutingRule[]) => planRoutes({ tenantId: 'demo', gateways: [], destinations, rules } satisfies TenantConfig, study());

  it('plans one delivery a destination, by the first rule that matches, in the order of the rules', () => {
    assert.deepEqual(plan(
      { ruleId: 'mr', destinationId: 'web', attributes: { Modality: 'MR' } }, { ruleId: 'sr', destinationId: 'web', attributes: { Modality: 'SR' }, priority: 5 },
      { ruleId: 'all', destinationId: 'pacs2' }, { ruleId: 'again', destinationId: 'web' },
    ), [{ ruleId: 'sr', destinationId: 'web', priority: 5 }, { ruleId: 'all', destinationId: 'pacs2', priority: 2, gatewayId: 'gw1' }]);
  });

  it('plans nothing for a destination that does not exist', () => {
    assert.deepEqual(plan({ ruleId: 'all', destinationId: 'gone' }), []);
  });
});

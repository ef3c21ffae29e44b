import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { indexNames } from '../../domain/keys.ts';
import { aUID } from '../support/aStudy.ts';
import { ctInstance, sendUntilItBreaks, type TestInstance } from '../support/sender.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

describe('one SOP Instance UID several times', function () {
  this.timeout(300_000);
  const pacs = sharedPacs();

  const send = (instances: readonly TestInstance[]) => sendUntilItBreaks(pacs().stack.urls.dicom, instances);
  const bytesOf = async (study: string) => (await pacs().api.retrieve(study)).map(({ dataSetSha256 }) => dataSetSha256);
  const choose = async (study: string, instance: string, body: object) => {
    const answer = await pacs().api.call(`studies/${study}/conflicts/${instance}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
  };
  const routesOf = async (study: string) => (await pacs().api.history(study)).filter(({ action }) => action === 'route.started').length;
  const ingestFlows = async (study: string) => (await pacs().api.flows(study)).filter(({ type }) => type === 'ingestAssociation');
  const versionOf = async (study: string) => {
    const { stack, tenantId } = pacs();
    return (await (await fetch(`${stack.urls.opensearch}/${indexNames.studies}/_doc/${encodeURIComponent(`${tenantId}|${study}`)}`)).json() as { readonly _version?: number })._version;
  };

  it('an admin chooses which bytes are current, and chooses back', async () => {
    const [study, series, instance] = [aUID(), aUID(), aUID()];
    const [first, second] = [1, 2].map(() => ctInstance({ study, series, instance, pixels: randomBytes(2_000) })) as [TestInstance, TestInstance];
    await send([first]);
    await eventually('the first is found', () => pacs().api.isFound(study, 1));
    await send([second]);
    const [conflict] = await eventually('the conflict is listed', async () => {
      const listed = await pacs().api.setAside(study);
      return listed.length === 1 && listed;
    });
    assert.deepEqual([conflict!.verdict, await bytesOf(study)], ['conflict', [first.dataSetSha256]]);

    await choose(study, instance, { packId: conflict!.packId, why: 'the first was cut short' });
    await eventually('the second is current', async () => (await bytesOf(study))[0] === second.dataSetSha256);
    const [other] = await pacs().api.setAside(study);
    await choose(study, instance, { sha256: other!.sha256, why: 'it was whole after all' });
    await eventually('the first is current again', async () => (await bytesOf(study))[0] === first.dataSetSha256);

    await eventually('it has the version of two packs and two choices', async () => await versionOf(study) === 4);
    await eventually('searches see one instance', () => pacs().api.isFound(study, 1));
    const decided = await eventually('the history has both decisions', async () => {
      const events = (await pacs().api.history(study)).filter(({ action }) => action === 'conflict.decided');
      return events.length >= 2 && events;
    });
    assert.deepEqual(decided.map(({ actor, detail }) => [actor, detail]),
      [['test', 'the first was cut short'], ['test', 'it was whole after all']]);
  });

  it('an admin chooses which of two studies holds it', async () => {
    const [one, two, series, instance] = [aUID(), aUID(), aUID(), aUID()];
    const [first, second] = [one, two].map((study) => ctInstance({ study, series, instance, pixels: randomBytes(2_000) })) as [TestInstance, TestInstance];
    await send([first]);
    await eventually('the first is found', () => pacs().api.isFound(one, 1));
    await send([second]);
    const [conflict] = await eventually('the conflict is listed', async () => {
      const listed = await pacs().api.setAside(two);
      return listed.length === 1 && listed;
    });
    assert.deepEqual(await bytesOf(two), []);

    await choose(two, instance, { sha256: conflict!.sha256, why: 'sent under the wrong study first' });

    await eventually('the second study holds it', async () => (await bytesOf(two))[0] === second.dataSetSha256);
    await eventually('the first study is empty', () => pacs().api.isFound(one, 0));
    await eventually('the first stands beside', async () => (await pacs().api.setAside(one)).map(({ verdict }) => verdict).join() === 'conflict');
  });

  it('a thousand concurrent resends, some with other bytes, leave one current instance as it was', async () => {
    const [study, series, instance] = [aUID(), aUID(), aUID()];
    const original = ctInstance({ study, series, instance, pixels: randomBytes(2_000) });
    const variants = Array.from({ length: 10 }, () => ctInstance({ study, series, instance, pixels: randomBytes(2_000) }));
    await send([original]);
    await eventually('the study is stable', async () => (await pacs().api.history(study)).some(({ action }) => action === 'study.stable'));
    const before = [await versionOf(study), await routesOf(study)];
    const allDone = (count: number) => eventually(`${count} associations are through`, async () => {
      const flows = await ingestFlows(study);
      return flows.length === count && flows.every(({ state }) => state === 'DONE');
    }, 240_000);

    const same = await Promise.all(Array.from({ length: 30 }, () => send(Array.from({ length: 30 }, () => original))));
    await allDone(31);
    assert.equal(same.flat().length, 900, 'each is answered 0000');
    assert.deepEqual([await versionOf(study), await routesOf(study)], before, 'the same bytes change nothing');
    assert.deepEqual(await pacs().api.setAside(study), []);

    const mixed = await Promise.all(variants.map((variant) => send(Array.from({ length: 10 }, (_, at) => (at % 2 === 0 ? variant : original)))));
    await allDone(41);

    assert.equal(mixed.flat().length, 100);
    assert.deepEqual(await bytesOf(study), [original.dataSetSha256]);
    assert.ok(await pacs().api.isFound(study, 1));
    const aside = await pacs().api.setAside(study);
    assert.equal(new Set(aside.filter(({ verdict }) => verdict === 'conflict').map(({ sha256 }) => sha256)).size, variants.length);
    assert.equal(await routesOf(study), before[1]);
  });
});

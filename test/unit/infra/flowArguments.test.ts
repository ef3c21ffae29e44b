import assert from 'node:assert/strict';
import { readFlowArguments } from '../../../infra/commands/flowArguments.ts';

const now = new Date('2026-02-02T12:00:00.000Z');
const read = (line: string) => readFlowArguments(line.split(' '), now);

describe('arguments of ./pacs flows', () => {
  it('name a decision, who, why, and which flows', () => {
    const { filter, steering, flowIds } = readFlowArguments(['retry', '--tenant', 'demo', '--destination', 'ws1', '--since', 'yesterday', '--by', 'Ada', '--why', 'mended'], now);

    assert.deepEqual([filter.tenantId, filter.destinationId, filter.since, flowIds], ['demo', 'ws1', '2026-02-01T12:00:00.000Z', []]);
    assert.deepEqual(steering, { kind: 'retry', by: 'Ada', why: 'mended' });
  });

  it('take flows by their IDs, and the user of the machine as who', () => {
    const { flowIds, steering } = read('priority 1 demo/study/1.2.3 --why stroke');

    assert.deepEqual(flowIds, ['demo/study/1.2.3']);
    assert.ok(steering?.kind === 'priority' && steering.priority === 1 && steering.by.length > 0);
  });

  it('are refused when a decision could hit more than was meant', () => {
    const rows: readonly (readonly [string, RegExp])[] = [
      ['retry --tenant demo --why x', /by a filter, or --all/], ['retry --all --why x', /--tenant is missing/], ['retry --tenant demo --all', /Say why/],
      ['skip --tenant demo --state WAITING --why x', /--state takes/], ['priority 9 --tenant demo --all --why x', /1 \(urgent\)/], ['show', /Name the flow/],
      ['retry --tenant demo --since soon --why x', /--since takes/], ['explode', /no "flows explode"/], ['reject --tenant demo --study Doe --why x', /--study takes/],
    ];
    for (const [line, problem] of rows) assert.throws(() => read(line), problem);
  });

  it('need no reason for a dry run', () => {
    assert.equal(read('reject --tenant demo --gateway gw9 --dry-run').dryRun, true);
  });
});

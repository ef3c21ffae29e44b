import assert from 'node:assert/strict';
import { failuresToOpen, isOpen, noteFailedProbe, noteFailure, pauseMs, sentenceOf, type Trouble } from '../../../domain/circuit.ts';

const at = (second: number): string => new Date(Date.UTC(2024, 4, 1, 12, 0, second)).toISOString();
const failed = (second: number, more: object = {}) => ({ at: at(second), problem: 'nobody answers.', ...more });

describe('a circuit', () => {
  it('opens after failures in a row, with growing pauses, and remembers since when', () => {
    let trouble: Trouble | undefined;
    const seen = [1, 2, 3, 4].map((second) => {
      trouble = noteFailure(trouble, failed(second), 10_000);
      return [isOpen(trouble), trouble.failures, Date.parse(trouble.nextTryAt) - Date.parse(at(second)), trouble.since];
    });

    assert.deepEqual(seen, [[false, 1, 0, at(1)], [false, 2, 10_000, at(1)], [true, 3, 20_000, at(1)], [true, 4, 40_000, at(1)]]);
  });

  it('opens at once when nobody answers the probe either', () => {
    const trouble = noteFailedProbe(noteFailure(undefined, failed(1), 10_000), failed(2), 10_000);

    assert.deepEqual([isOpen(trouble), trouble.failures], [true, failuresToOpen]);
  });

  it('stays closed while a destination takes something each time, and pauses all the same', () => {
    let trouble: Trouble | undefined;
    for (let second = 1; second <= 9; second++) trouble = noteFailure(trouble, failed(second, { progressed: true }), 10_000);

    assert.deepEqual([isOpen(trouble), trouble!.nextTryAt], [false, at(19)]);
  });

  it('never pauses for more than five minutes, unless the destination says so itself', () => {
    assert.equal(pauseMs(30_000, 40), 300_000);
    assert.equal(noteFailure(undefined, failed(0, { retryAfterMs: 900_000 }), 30_000).nextTryAt, at(900));
  });

  it('says in a sentence since when and until when', () => {
    assert.equal(sentenceOf('ws1', { since: at(1), nextTryAt: at(9), failures: 3, problem: 'nobody answers.' }),
      `Destination ws1 has not answered as it should since ${at(1)}; the next try is at ${at(9)}. The last one: nobody answers.`);
  });
});

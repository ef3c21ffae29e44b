import fc from 'fast-check';
import { propertiesOf, readers } from '../test/unit/fuzz/properties.ts';

/** Runs the properties of test/unit/fuzz for longer, each for its share of the time. @returns the exit code */
export async function benchFuzz({ minutes, seed }: { readonly minutes: number; readonly seed: number }): Promise<number> {
  const properties = Object.entries(propertiesOf(readers));
  let failures = 0;
  for (const [title, property] of properties) {
    const limitMs = (minutes * 60_000) / properties.length;
    const result = await fc.check(property as fc.IAsyncProperty<unknown>, { seed, numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: limitMs, markInterruptAsFailure: false });
    const isFinding = result.failed && result.counterexample !== null;
    console.log(`${isFinding ? '✘' : '✔'} ${title}: ${result.numRuns} runs, seed ${seed}`);
    if (isFinding) {
      failures++;
      console.log(fc.defaultReportMessage(result as never));
    }
  }
  return failures === 0 ? 0 : 1;
}

import { fork } from 'node:child_process';
import { DefaultLogger, bundleWorkflowCode, type WorkflowBundle } from '@temporalio/worker';

/**
 * The workflow code as Temporal's worker runs it. It is bundled in a process that ends with it: webpack leaves 170 MB behind
 * in the process it ran in.
 *
 * @throws an Error when the code cannot be bundled; the bundler's words are on stderr
 */
export const bundleWorkflows = (): Promise<WorkflowBundle> => new Promise((resolve, reject) => {
  const bundler = fork(import.meta.filename, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let bundle: WorkflowBundle | undefined;
  bundler.once('message', (message) => { bundle = message as WorkflowBundle; });
  bundler.once('error', reject);
  bundler.once('close', (code, signal) => {
    if (bundle) resolve(bundle);
    else reject(new Error(`The workflow code could not be bundled: the bundler ended with ${signal ?? `exit code ${code}`}.`));
  });
});

async function main(): Promise<void> {
  process.once('disconnect', () => process.exit());
  const bundle = await bundleWorkflowCode({ workflowsPath: new URL('../workflows/index.ts', import.meta.url).pathname, logger: new DefaultLogger('WARN') });
  process.send!(bundle, () => process.disconnect());
}

if (import.meta.main) await main();

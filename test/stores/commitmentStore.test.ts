import { createCommitmentStore } from '../../stores/s3/commitmentStore.ts';
import { MemoryCommitmentStore } from '../../stores/memory/memoryStores.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { commitmentStoreSuite } from './commitmentStore.suite.ts';

commitmentStoreSuite('memory', async () => new MemoryCommitmentStore());
commitmentStoreSuite('S3', async (context) => createCommitmentStore((await sharedStores(context)).bucket));

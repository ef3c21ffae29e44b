import { createCircuitStore } from '../../stores/s3/circuitStore.ts';
import { MemoryCircuitStore } from '../../stores/memory/memoryStores.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { circuitStoreSuite } from './circuitStore.suite.ts';

circuitStoreSuite('memory', async () => new MemoryCircuitStore());
circuitStoreSuite('S3', async (context) => createCircuitStore((await sharedStores(context)).bucket));

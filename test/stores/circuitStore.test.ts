import { createCircuitStore } from '../../stores/circuitStore.ts';
import { MemoryCircuitStore } from '../../stores/memory.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { circuitStoreSuite } from './circuitStore.suite.ts';

circuitStoreSuite('memory', async () => new MemoryCircuitStore());
circuitStoreSuite('S3', async (context) => createCircuitStore((await sharedStores(context)).bucket));

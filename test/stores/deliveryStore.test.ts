import { createDeliveryStore } from '../../stores/deliveryStore.ts';
import { MemoryDeliveryStore } from '../../stores/memory.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { deliveryStoreSuite } from './deliveryStore.suite.ts';

deliveryStoreSuite('memory', async () => new MemoryDeliveryStore());
deliveryStoreSuite('S3', async (context) => createDeliveryStore((await sharedStores(context)).bucket));

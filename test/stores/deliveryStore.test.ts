import { createDeliveryStore } from '../../stores/s3/deliveryStore.ts';
import { MemoryDeliveryStore } from '../../stores/memory/memoryStores.ts';
import { sharedStores } from '../support/sharedStores.ts';
import { deliveryStoreSuite } from './deliveryStore.suite.ts';

deliveryStoreSuite('memory', async () => new MemoryDeliveryStore());
deliveryStoreSuite('S3', async (context) => createDeliveryStore((await sharedStores(context)).bucket));

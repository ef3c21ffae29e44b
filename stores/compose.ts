import { createArchiveStore } from './s3/archiveStore.ts';
import { createAuditLog, type RebuildableAuditLog } from './auditLog.ts';
import { createCircuitStore } from './s3/circuitStore.ts';
import { createCommitmentStore } from './s3/commitmentStore.ts';
import { createDeliveryStore } from './s3/deliveryStore.ts';
import { createDicomWebSender, type DicomWebSenderValues } from './destinations/destination.ts';
import { createOpenSearch, type OpenSearchValues, type Refresh } from './opensearch/openSearch.ts';
import { cachedReads, type PackCacheValues } from './packs/packCache.ts';
import type { ArchiveStore, CircuitStore, CommitmentStore, DeliveryStore, OrphanStore, Sender, StudyIndex, TenantStore } from './ports.ts';
import { createS3, type S3Values } from './s3/s3.ts';
import { createOrphanStore } from './s3/orphanStore.ts';
import { createStudyIndex } from './opensearch/studyIndex.ts';
import { createTenantStore } from './s3/tenantStore.ts';
import type { DicomWebDestination } from '../domain/tenant.ts';

export interface StoreValues {
  readonly s3: S3Values;
  readonly openSearch: OpenSearchValues;
  /** For pack indexes kept in memory. Default 32 MiB. */
  readonly archiveCacheBytes?: number;
  /** Keeps packs that were read on this machine's disk. Default: none are kept. */
  readonly packCache?: PackCacheValues | undefined;
  /** For tenants' configurations kept in memory, in milliseconds. Default 2000. */
  readonly tenantCacheMs?: number;
  readonly refresh?: Refresh;
  readonly dicomWebSender?: DicomWebSenderValues;
}

export interface Stores {
  readonly archive: ArchiveStore;
  readonly orphans: OrphanStore;
  readonly index: StudyIndex;
  readonly audit: RebuildableAuditLog;
  readonly tenants: TenantStore;
  readonly deliveries: DeliveryStore;
  readonly circuits: CircuitStore;
  readonly commitments: CommitmentStore;
  readonly dicomWebSender: Sender<DicomWebDestination>;
  /** Whether S3 and OpenSearch answer: for /readyz. @throws when one does not */
  check(): Promise<void>;
  /** Gives the connections back. What is under way fails. */
  close(): Promise<void>;
}

/** All stores of a process, over one client for S3 and one for OpenSearch. */
export function createStores(values: StoreValues): Stores {
  const bucket = createS3(values.s3);
  const client = createOpenSearch(values.openSearch);
  const { archiveCacheBytes, packCache, tenantCacheMs, refresh } = values;
  const written = refresh === undefined ? {} : { refresh };
  const tenants = createTenantStore({ ...bucket, ...(tenantCacheMs === undefined ? {} : { cacheMs: tenantCacheMs }) });
  const archive = createArchiveStore({ ...bucket, ...(archiveCacheBytes === undefined ? {} : { cacheBytes: archiveCacheBytes }) });
  return {
    archive: packCache ? { ...archive, ...cachedReads(archive, packCache) } : archive,
    orphans: createOrphanStore(bucket),
    index: createStudyIndex({ client, ...written }),
    audit: createAuditLog({ ...bucket, client, ...written }),
    tenants,
    deliveries: createDeliveryStore(bucket),
    circuits: createCircuitStore(bucket),
    commitments: createCommitmentStore(bucket),
    dicomWebSender: createDicomWebSender(values.dicomWebSender),
    check: async () => { await Promise.all([tenants.get('readiness'), client.ping()]); },
    close: async () => {
      bucket.s3.destroy();
      await client.close();
    },
  };
}

import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { DicomServerStats } from './server.ts';
import type { KeptPacks } from './spool/kept.ts';
import type { SpoolTotals } from './spool/spool.ts';
import type { StarterState } from './starter.ts';

export interface MetricsDeps {
  readonly spool: () => SpoolTotals;
  readonly kept: Pick<KeptPacks, 'count' | 'bytes'>;
  readonly server: () => DicomServerStats;
  readonly starter: () => StarterState;
  /** Storage commitment requests on the disk. */
  readonly waitingCommitments: () => number;
  readonly freeBytes: () => number;
  readonly hasRoom: () => boolean;
}

export interface Metrics {
  readonly registry: Registry;
  /** One answered C-STORE. */
  answered(status: number, lengthBytes: number): void;
  readonly instances: () => { readonly accepted: number; readonly refused: number };
}

/** Prometheus metrics of the gateway: counts and bytes, labelled with status codes only. */
export function createMetrics(deps: MetricsDeps): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const answers = new Counter({ name: 'pacs_gateway_store_answers_total', help: 'Answered C-STORE requests by DIMSE status', labelNames: ['status'], registers });
  const bytes = new Counter({ name: 'pacs_gateway_store_bytes_total', help: 'Bytes of accepted data sets', registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({ name: `pacs_gateway_${name}`, help, registers, collect() { this.set(read()); } });
  gauge('associations', 'Associations now', () => deps.server().associationCount);
  gauge('associations_accepted', 'Associations accepted since the start', () => deps.server().acceptedCount);
  gauge('associations_rejected', 'Associations rejected since the start', () => deps.server().rejectedCount);
  gauge('associations_aborted', 'Associations aborted since the start', () => deps.server().abortedCount);
  gauge('connections_turned_away', 'Connections closed since the start because too many had no A-ASSOCIATE-RQ', () => deps.server().turnedAwayCount);
  gauge('open_packs', 'Packs that still grow', () => deps.spool().openPacks);
  gauge('waiting_packs', 'Closed packs that the cloud has not released', () => deps.spool().waitingPacks);
  gauge('waiting_instances', 'Instances in closed packs that the cloud has not released', () => deps.spool().waitingInstances);
  gauge('set_aside_packs', 'Packs that a person gave up and the gateway keeps', () => deps.spool().setAsidePacks);
  gauge('set_aside_instances', 'Instances in packs that a person gave up', () => deps.spool().setAsideInstances);
  gauge('waiting_commitments', 'Storage commitment requests whose requestor was not told yet', deps.waitingCommitments);
  gauge('spool_bytes', 'Bytes in the spool, without packs that are kept after their release', () => deps.spool().bytes);
  gauge('kept_packs', 'Packs that the cloud has and the gateway keeps while there is room', () => deps.kept.count);
  gauge('kept_bytes', 'Bytes of kept packs', () => deps.kept.bytes);
  gauge('free_bytes', 'Free bytes on the disk of the spool', deps.freeBytes);
  gauge('no_room', '1 while instances are refused with A700 because the disk or the spool is full', () => (deps.hasRoom() ? 0 : 1));
  gauge('associations_untold', 'Associations of which the cloud has not been told all', () => deps.starter().behind);
  gauge('cloud_reachable', '1 while the cloud answers', () => (deps.starter().problem === undefined ? 1 : 0));
  const counts = { accepted: 0, refused: 0 };
  return {
    registry,
    instances: () => counts,
    answered: (status, lengthBytes) => {
      counts[status === 0 ? 'accepted' : 'refused']++;
      answers.inc({ status: status.toString(16).toUpperCase().padStart(4, '0') });
      bytes.inc(lengthBytes);
    },
  };
}

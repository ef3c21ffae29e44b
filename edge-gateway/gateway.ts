import type { PackOrigin } from '../domain/pack.ts';
import { priorities, type Priority } from '../domain/tenant.ts';
import type { OpenSession } from './services/service.ts';
import { createCloudArchive } from './cloudArchive.ts';
import type { CommitmentClient } from './commitment/client.ts';
import { AskedFolder } from './commitment/asked.ts';
import { CommitmentFolder } from './commitment/folder.ts';
import { CommitmentTeller } from './commitment/teller.ts';
import type { GatewayConfig } from './config.ts';
import { isAboutTheMessage, type FlowClient } from './flowClient.ts';
import { createGatewayHttp } from './http.ts';
import type { Logger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { createDicomServer } from './server.ts';
import type { RetrievalClient } from './retrievalClient.ts';
import { commitmentPolicy, openCommitment } from './services/commitment.ts';
import { queryRetrieve } from './services/queryRetrieve.ts';
import { composeSession } from './services/session.ts';
import { openStorageSession } from './services/storage.ts';
import { systemClock, type Clock } from './spool/clock.ts';
import { KeptPacks } from './spool/kept.ts';
import { Spool } from './spool/spool.ts';
import { Watermark, readSpace } from './spool/watermark.ts';
import { Starter } from './starter.ts';
import { openCertificates } from './tls.ts';

export interface GatewayDeps {
  readonly client: FlowClient;
  /** Absent: C-MOVE is not offered. */
  readonly retrievals?: RetrievalClient;
  /** Absent: storage commitment is not offered. */
  readonly commitments?: CommitmentClient;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface Gateway {
  /** Recovers the spool, then takes associations. @throws when a port is taken or the spool folder cannot be used */
  start(): Promise<{ readonly dicomPort?: number; readonly dicomTlsPort?: number; readonly httpPort: number }>;
  /** Reads key and certificates again, for the TLS handshakes that begin from now on. Never throws: what cannot be used is logged. */
  renewTls(): Promise<void>;
  /** Takes no more associations, lets those that run end, closes their packs and stops. Idempotent. */
  stop(): Promise<void>;
}

/** Packs set aside that `/status` names; it counts them all. */
const maxShownPacks = 100;
const housekeepingMs = 1_000;
/** Every so many rounds of housekeeping, what was told long ago and the certificates are looked at again. */
const reviewEvery = 60;

/**
 * One gateway: DICOM listeners, spool, starter and its HTTP port, wired.
 *
 * @throws when the key or a certificate cannot be used
 */
export async function createGateway(config: GatewayConfig, { client, retrievals, commitments, log, clock = systemClock }: GatewayDeps): Promise<Gateway> {
  const { tenantId, gatewayId, dicom } = config;
  const certificates = dicom.tls && await openCertificates(dicom.tls, log);
  const priorityOf = ({ callingAETitle }: PackOrigin): Priority =>
    (dicom.urgentCallingAETitles.includes(callingAETitle) ? priorities.urgent : priorities.ingest);
  const spool: Spool = new Spool({ spoolDir: config.spool.dir, tenantId, gatewayId, clock, log, onWork: (record, cameBack) => starter.notice(record, cameBack) });
  const starter: Starter = new Starter({ client, spool, clock, log, isAboutTheMessage, random: Math.random, priorityOf });
  const kept = new KeptPacks({ spoolDir: config.spool.dir, keepMs: config.spool.keepMs, clock, log });
  const watermark = new Watermark({ limits: config.spool, readSpace: readSpace(config.spool.dir), spoolBytes: () => spool.totals().bytes, kept });
  const cloud = config.cloud && queryRetrieve({
    archive: createCloudArchive(config.cloud, tenantId), retrieveAETitle: config.dicom.aeTitle, maxMatches: config.maxMatches, tenantId, gatewayId, retrievals, log });
  const commitmentFolder = new CommitmentFolder(config.spool.dir);
  const asked = new AskedFolder(config.spool.dir);
  const teller = commitments && new CommitmentTeller({ folder: commitmentFolder, client: commitments, clock, log, waitMs: config.commitmentWaitMs });
  const openSession: OpenSession = composeSession([
    openStorageSession({ spool, watermark, log, onAnswer: (status, bytes) => metrics.answered(status, bytes) }), ...cloud?.openers ?? [],
    ...(teller ? [openCommitment({ folder: commitmentFolder, asked, watermark, tenantId, gatewayId, log, onTaken: () => void teller.tell() })] : [])]);
  const server = createDicomServer({
    host: dicom.host, port: dicom.port, tls: dicom.tls && { port: dicom.tls.port, options: certificates!.current }, aeTitles: [dicom.aeTitle],
    policy: { callingAETitles: dicom.callingAETitles, acceptPrivateStorage: dicom.acceptPrivateStorage, sendsInstances: cloud !== undefined,
      services: new Map([...cloud?.services ?? [], ...(teller ? commitmentPolicy : [])]) },
    limits: { maxAssociations: dicom.maxAssociations, artimTimeoutMs: dicom.artimTimeoutMs, idleTimeoutMs: dicom.idleTimeoutMs },
    openSession, logger: log,
  });
  const metrics = createMetrics({ spool: () => spool.totals(), kept, server: () => server.stats(), starter: () => starter.state, waitingCommitments: () => teller?.state.waiting ?? 0, freeBytes: () => watermark.freeBytes, hasRoom: () => watermark.noRoom() === undefined });
  let state: 'starting' | 'listening' | 'stopped' = 'starting';
  const http = createGatewayHttp({ ...config.http, isListening: () => state === 'listening', registry: metrics.registry, status: () => ({
    tenantId, gatewayId, state, instances: metrics.instances(), associations: server.stats(), spool: spool.totals(),
    setAside: spool.setAside().slice(0, maxShownPacks).map(({ associationId, packId, studyInstanceUID, instanceCount, lengthBytes }) => ({ associationId, packId, studyInstanceUID, instanceCount, lengthBytes })),
    kept: { packs: kept.count, bytes: kept.bytes }, ...(teller && { commitments: teller.state }), freeBytes: watermark.freeBytes, noRoom: watermark.noRoom(), cloud: starter.state }) });
  const housekeeping = repeat(housekeepingMs, log, async (round) => {
    void teller?.tell();
    await spool.sweep();
    await kept.look();
    await watermark.poll();
    await watermark.makeRoom();
    if (round % reviewEvery !== 0) return;
    starter.review(spool.records());
    await asked.prune(clock.now());
    await renewTls();
  });
  const renewTls = async (): Promise<void> => {
    const renewed = await certificates?.renew();
    if (renewed) server.renewTls(renewed);
  };

  return {
    start: async () => {
      const { port: httpPort } = await http.listen();
      await spool.recover();
      await kept.look();
      await commitmentFolder.recover();
      await watermark.poll();
      housekeeping.start();
      const { port: dicomPort, tlsPort: dicomTlsPort } = await server.listen();
      state = 'listening';
      return { ...(dicomPort !== undefined && { dicomPort }), ...(dicomTlsPort !== undefined && { dicomTlsPort }), httpPort };
    },
    renewTls,
    stop: async () => {
      if (state === 'stopped') return;
      state = 'stopped';
      await server.close({ drainMs: config.drainMs });
      await housekeeping.stop();
      await starter.stop();
      await retrievals?.close();
      await commitments?.close();
      await http.close();
    },
  };
}

/** Does the same thing over and over, never twice at once; a failure is logged and the next round comes. */
function repeat(everyMs: number, log: Logger, work: (round: number) => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let stopped = false;
  const go = (round: number): void => {
    timer = setTimeout(() => {
      running = work(round).catch((error: unknown) => log.error({ err: error }, 'Housekeeping of the spool failed; it is tried again'))
        .finally(() => { if (!stopped) go(round + 1); });
    }, everyMs);
  };
  return {
    start: () => go(1),
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

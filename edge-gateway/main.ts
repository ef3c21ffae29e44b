import './threadPool.ts';
import { pino } from 'pino';
import { createCommitmentClient } from './commitment/client.ts';
import { readConfig } from './config.ts';
import { createFlowClient } from './flowClient.ts';
import { createGateway } from './gateway.ts';
import { createRetrievalClient } from './retrievalClient.ts';

/** The gateway process: started with its environment, stopped by SIGTERM or SIGINT after the running associations. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel, base: { tenantId: config.tenantId, gatewayId: config.gatewayId } });
  const gateway = await createGateway(config, { client: createFlowClient(config.temporal), retrievals: createRetrievalClient(config.temporal), commitments: createCommitmentClient(config.temporal), log });
  const stop = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'Stopping');
    gateway.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'The gateway did not stop cleanly; what it holds is recovered at the next start');
        process.exit(1);
      });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => void gateway.renewTls());
  const ports = await gateway.start();
  log.info({ ...ports, aeTitle: config.dicom.aeTitle }, 'Listening');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}${portHint(error)}\n`);
  process.exit(1);
});

function portHint(error: unknown): string {
  const { code, port } = error as { readonly code?: string; readonly port?: number };
  return code === 'EADDRINUSE' ? ` Port ${port} is taken; PACS_DICOM_PORT, PACS_DICOM_TLS_PORT and PACS_GATEWAY_HTTP_PORT move the gateway's ports.` : '';
}

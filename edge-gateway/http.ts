import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface GatewayHttpDeps {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** The DICOM listener takes associations. Whether the cloud answers is no matter of health. */
  readonly isListening: () => boolean;
  readonly status: () => object;
  readonly registry: Registry;
}

export interface GatewayHttp {
  /** @throws the listener's error, such as EADDRINUSE */
  listen(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

/** `/healthz`, `/status` and `/metrics`, for whoever operates the gateway. */
export function createGatewayHttp(deps: GatewayHttpDeps): GatewayHttp {
  const server = createServer((request, response) => {
    answer(deps, request.url ?? '/', response).catch(() => send(response, 500, 'text/plain', 'The answer could not be made.\n'));
  });
  return { listen: () => listen(server, deps), close: () => close(server) };
}

async function answer({ isListening, status, registry }: GatewayHttpDeps, url: string, response: ServerResponse): Promise<void> {
  const path = url.split('?')[0];
  if (path === '/healthz' || path === '/readyz') {
    return isListening() ? send(response, 200, 'text/plain', 'ok\n') : send(response, 503, 'text/plain', 'not listening\n');
  }
  if (path === '/status') return send(response, 200, 'application/json', `${JSON.stringify(status())}\n`);
  if (path === '/metrics') return send(response, 200, registry.contentType, await registry.metrics());
  send(response, 404, 'text/plain', 'There is /healthz, /status and /metrics.\n');
}

function send(response: ServerResponse, code: number, contentType: string, body: string): void {
  response.writeHead(code, { 'Content-Type': contentType }).end(body);
}

const listen = (server: Server, { host, port }: GatewayHttpDeps): Promise<{ readonly port: number }> => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, host, () => resolve({ port: (server.address() as AddressInfo).port }));
});

const close = (server: Server): Promise<void> => new Promise((resolve) => {
  server.close(() => resolve());
  server.closeAllConnections();
});

import type { RequestHandler } from 'express';
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

/** Counts and times of requests, by route and never by what a request was about. */
export interface Metrics {
  observe(request: { readonly method: string; readonly route: string; readonly status: number }, seconds: number): void;
  readonly handler: RequestHandler;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({ name: 'pacs_api_requests_total', help: 'HTTP requests answered', labelNames: ['method', 'route', 'status'], registers: [registry] });
  const duration = new Histogram({
    name: 'pacs_api_request_seconds', help: 'Time to the last byte of an answer', labelNames: ['method', 'route'], registers: [registry],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
  });
  return {
    observe({ method, route, status }, seconds) {
      requests.inc({ method, route, status });
      duration.observe({ method, route }, seconds);
    },
    handler: async (_request, response) => void response.type(registry.contentType).send(await registry.metrics()),
  };
}

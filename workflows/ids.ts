/**
 * Workflow IDs (DESIGN.md, Workflows). Parts are tenant, gateway and destination names, UIDs, UUIDs and encoded
 * idempotency keys: none holds a slash, and none names a patient.
 */
export const ingestWorkflowId = (tenantId: string, gatewayId: string, associationId: string): string =>
  `${tenantId}/ingest/${gatewayId}/${associationId}`;

export const studyWorkflowId = (tenantId: string, studyInstanceUID: string): string =>
  `${tenantId}/study/${studyInstanceUID}`;

/** @param revision the study's revision for a rule; for an HTTP request its Idempotency-Key. */
export const routeWorkflowId = (tenantId: string, studyInstanceUID: string, ruleOrRequest: string, revision: string | number): string =>
  `${tenantId}/route/${studyInstanceUID}/${encodeURIComponent(ruleOrRequest)}/${encodeURIComponent(String(revision))}`;

export const reindexWorkflowId = (tenantId: string, jobId: string): string => `${tenantId}/reindex/${jobId}`;

/** The flow of a destination that deliveries wait for. */
export const destinationWorkflowId = (tenantId: string, destinationId: string): string => `${tenantId}/destination/${destinationId}`;

/** One request to send to a destination again. @param jobId an Idempotency-Key */
export const replayWorkflowId = (tenantId: string, destinationId: string, jobId: string): string => `${tenantId}/replay/${destinationId}/${encodeURIComponent(jobId)}`;

/** One C-MOVE. */
export const retrieveWorkflowId = (tenantId: string, requestId: string): string => `${tenantId}/retrieve/${requestId}`;

export const sweepWorkflowId = (tenantId: string, jobId: string): string => `${tenantId}/sweep/${jobId}`;

/** One transaction of storage commitment; Transaction UIDs are told apart by gateway. */
export const commitmentWorkflowId = (tenantId: string, gatewayId: string, transactionUID: string): string => `${tenantId}/commitment/${gatewayId}/${transactionUID}`;

export const choiceWorkflowId = (tenantId: string, studyInstanceUID: string, requestId: string): string => `${tenantId}/choice/${studyInstanceUID}/${requestId}`;

export const edgeTaskQueue = (tenantId: string, gatewayId: string): string => `edge/${tenantId}/${gatewayId}`;

export type WorkflowId =
  | { readonly kind: 'ingest'; readonly tenantId: string; readonly gatewayId: string; readonly associationId: string }
  | { readonly kind: 'study'; readonly tenantId: string; readonly studyInstanceUID: string }
  | { readonly kind: 'route'; readonly tenantId: string; readonly studyInstanceUID: string; readonly ruleOrRequest: string; readonly revision: string }
  | { readonly kind: 'destination'; readonly tenantId: string; readonly destinationId: string }
  | { readonly kind: 'replay'; readonly tenantId: string; readonly destinationId: string; readonly jobId: string }
  | { readonly kind: 'choice'; readonly tenantId: string; readonly studyInstanceUID: string; readonly requestId: string }
  | { readonly kind: 'commitment'; readonly tenantId: string; readonly gatewayId: string; readonly transactionUID: string }
  | { readonly kind: 'retrieve'; readonly tenantId: string; readonly requestId: string }
  | { readonly kind: 'reindex' | 'sweep'; readonly tenantId: string; readonly jobId: string };

/** @returns undefined when the text is none of our workflow IDs. */
export function parseWorkflowId(workflowId: string): WorkflowId | undefined {
  const [tenantId, kind, ...rest] = workflowId.split('/');
  const [first, second, third] = rest;
  if (!tenantId || !first) return undefined;
  if (kind === 'ingest' && second && rest.length === 2) return { kind, tenantId, gatewayId: first, associationId: second };
  if (kind === 'study' && rest.length === 1) return { kind, tenantId, studyInstanceUID: first };
  if (kind === 'destination' && rest.length === 1) return { kind, tenantId, destinationId: first };
  if (kind === 'retrieve' && rest.length === 1) return { kind, tenantId, requestId: first };
  if (kind === 'commitment' && second && rest.length === 2) return { kind, tenantId, gatewayId: first, transactionUID: second };
  if (kind === 'choice' && second && rest.length === 2) return { kind, tenantId, studyInstanceUID: first, requestId: second };
  if ((kind === 'reindex' || kind === 'sweep') && rest.length === 1) return { kind, tenantId, jobId: first };
  if (kind === 'replay' && second && rest.length === 2) {
    const jobId = decoded(second);
    return jobId === undefined ? undefined : { kind, tenantId, destinationId: first, jobId };
  }
  if (kind === 'route' && second && third && rest.length === 3) {
    const [ruleOrRequest, revision] = [decoded(second), decoded(third)];
    if (ruleOrRequest !== undefined && revision !== undefined) return { kind, tenantId, studyInstanceUID: first, ruleOrRequest, revision };
  }
  return undefined;
}

/** @returns undefined when it was never encoded: IDs to parse come from outside, too. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

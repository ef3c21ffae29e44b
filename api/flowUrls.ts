/** The resource of a flow. Its ID has slashes, which stay readable; each part is percent-coded. */
export const flowUrl = (tenantUrl: string, flowId: string): string =>
  `${tenantUrl}/flows/${flowId.split('/').map(encodeURIComponent).join('/')}`;

/** The ID that the path behind /flows/ names, whether its slashes were percent-coded or not. */
export const flowIdOfPath = (parts: string | readonly string[] | undefined): string => [parts ?? []].flat().join('/');

/** Where the Temporal UI shows one run. */
export const temporalUiUrl = (uiUrl: string, namespace: string, flowId: string, runId: string): string =>
  `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(flowId)}/${encodeURIComponent(runId)}`;

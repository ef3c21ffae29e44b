import type { Client, WorkflowHandle } from '@temporalio/client';
import { SearchAttributeType, defineSearchAttributeKey, type Workflow } from '@temporalio/common';
import { associationEndedSignal, packReadySignal, statusQuery, taskQueues, type FlowStatus, type IngestAssociationInput, type PackWork, type RouteStudyInput } from '../../workflows/contracts.ts';
import { ingestWorkflowId, routeWorkflowId, sweepWorkflowId } from '../../workflows/ids.ts';
import type { SpooledPack } from '../../domain/pack.ts';
import type { ingestAssociation, routeStudy, sweepTenant } from '../../workflows/index.ts';
import { until, type Site } from './site.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);

/** An association's flow as a gateway and an admin see it. */
export async function anAssociation(client: Client, site: Site) {
  const input: IngestAssociationInput = { tenantId: site.tenantId, origin: site.origin, priority: 3 };
  const handle = await client.workflow.start<typeof ingestAssociation>('ingestAssociation', {
    workflowId: ingestWorkflowId(site.tenantId, site.gatewayId, site.origin.associationId), taskQueue: taskQueues.core, args: [input],
    priority: { priorityKey: 3, fairnessKey: site.tenantId },
    typedSearchAttributes: [{ key: keyword('TenantId'), value: site.tenantId }, { key: keyword('FlowState'), value: 'RUNNING' }],
  });
  return {
    ...flowOf(handle),
    ready: (pack: SpooledPack) => handle.signal<[PackWork]>(packReadySignal, { kind: 'spooled', pack }),
    end: (packCount: number) => handle.signal(associationEndedSignal, { how: 'released', packCount, instanceCount: packCount * 2, at: '2024-05-01T10:05:00.000Z' }),
  };
}

export async function aRoute(client: Client, site: Site, input: Partial<RouteStudyInput> = {}) {
  const whole: RouteStudyInput = { tenantId: site.tenantId, studyInstanceUID: '1.2.3', destinationId: 'archive', ruleId: 'all', priority: 2, ...input };
  const handle = await client.workflow.start<typeof routeStudy>('routeStudy', {
    workflowId: routeWorkflowId(site.tenantId, whole.studyInstanceUID, 'all', 1), taskQueue: taskQueues.core, args: [whole],
    typedSearchAttributes: [{ key: keyword('TenantId'), value: site.tenantId }, { key: keyword('FlowState'), value: 'RUNNING' }],
  });
  return flowOf(handle);
}

/** A sweep that reads every pack. */
export async function aSweep(client: Client, { tenantId }: Site) {
  const handle = await client.workflow.start<typeof sweepTenant>('sweepTenant', {
    workflowId: sweepWorkflowId(tenantId, 'job-1'), taskQueue: taskQueues.core, args: [{ tenantId, verifyDays: 1, settleMs: 0 }],
    typedSearchAttributes: [{ key: keyword('TenantId'), value: tenantId }, { key: keyword('FlowState'), value: 'RUNNING' }],
  });
  return flowOf(handle);
}

export function flowOf<W extends Workflow, H extends WorkflowHandle<W> = WorkflowHandle<W>>(handle: H & WorkflowHandle<W>) {
  const attributes = async () => (await handle.describe()).typedSearchAttributes;
  const state = async () => (await attributes()).get(keyword('FlowState'));
  return {
    handle, state,
    result: () => handle.result(),
    errorType: async () => (await attributes()).get(keyword('ErrorType')),
    status: () => handle.query<FlowStatus>(statusQuery),
    reaches: (wanted: string) => until(`FlowState ${wanted}`, async () => (await state()) === wanted),
    decide: (kind: 'retry' | 'skip' | 'reject', decision: { readonly by?: string; readonly why?: string; readonly packId?: string } = { by: 'Ada', why: 'test' }) =>
      handle.executeUpdate(kind, { args: [decision] }),
  };
}

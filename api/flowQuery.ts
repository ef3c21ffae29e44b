import { searchAttributes, type FlowState } from '../workflows/contracts.ts';

/** Which flows are meant; what is absent does not matter. */
export interface FlowFilter {
  readonly tenantId: string;
  readonly studyInstanceUID?: string | undefined;
  readonly destinationId?: string | undefined;
  readonly gatewayId?: string | undefined;
  readonly errorType?: string | undefined;
  readonly states?: readonly FlowState[] | undefined;
  /** Started at or after; ISO 8601 UTC. */
  readonly since?: string | undefined;
  /** Those alone whose run is open. */
  readonly open?: boolean | undefined;
}

/** A string literal of a visibility query: quotes and backslashes cannot end it. */
const literal = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** The filter as a query of Temporal's list of flows. */
export function visibilityQuery(filter: FlowFilter): string {
  const is = (name: string, value: string | undefined): readonly string[] => (value === undefined ? [] : [`${name} = ${literal(value)}`]);
  const { studyInstanceUID: study, states, since } = filter;
  const uid = study === undefined ? '' : literal(study);
  return [
    ...is(searchAttributes.tenantId, filter.tenantId),
    ...(study === undefined ? [] : [`(${searchAttributes.studyInstanceUID} = ${uid} OR ${searchAttributes.studyInstanceUIDs} IN (${uid}))`]),
    ...is(searchAttributes.destinationId, filter.destinationId),
    ...is(searchAttributes.gatewayId, filter.gatewayId),
    ...is(searchAttributes.errorType, filter.errorType),
    ...(states?.length === 1 ? is(searchAttributes.flowState, states[0]) : []),
    ...(states && states.length > 1 ? [`${searchAttributes.flowState} IN (${states.map(literal).join(', ')})`] : []),
    ...(since === undefined ? [] : [`StartTime >= ${literal(since)}`]),
    ...(filter.open ? ["ExecutionStatus = 'Running'"] : []),
  ].join(' AND ');
}

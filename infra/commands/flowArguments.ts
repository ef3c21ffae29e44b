import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import { isUidShaped } from '../../dicom/uid.ts';
import { isPriority, isTenantId } from '../../domain/tenant.ts';
import type { FlowFilter } from '../../api/flowQuery.ts';
import type { Steering } from '../../api/steering.ts';
import type { FlowState } from '../../workflows/contracts.ts';
import { StackError } from '../native/parts.ts';

const usage = `Usage: ./pacs flows list|show|retry|skip|reject|priority N [FLOW …] [filters] [--why REASON] [--by NAME] [--dry-run]

  list      flows, newest first [--limit 50]
  show      where flows stand, in words
  retry     run what is parked again
  skip      go on without it; with --gateway or --destination also without one that is away
  reject    end it for good; what was archived stays
  priority  put waiting flows before or behind others: 1 (urgent) to 5 (bulk)

Filters: --tenant T --state S --error-type E --destination D --gateway G --study UID --since yesterday|24h|7d|2026-01-31 --all
A decision needs --why, and either flows by their IDs or --tenant with a filter; --all means every flow of the tenant that waits.`;

export interface FlowArguments {
  readonly action: 'list' | 'show' | 'retry' | 'skip' | 'reject' | 'priority';
  readonly flowIds: readonly string[];
  readonly filter: FlowFilter;
  /** Set for a decision. */
  readonly steering: Steering | undefined;
  readonly dryRun: boolean;
  readonly limit: number;
}

const actions = ['list', 'show', 'retry', 'skip', 'reject', 'priority'] as const;
const states = ['RUNNING', 'EDGE_OFFLINE', 'DESTINATION_AWAY', 'ATTENTION', 'PAUSED', 'DONE', 'REJECTED'] as const satisfies readonly FlowState[];

/** @throws StackError that says what is wrong and how it is written */
export function readFlowArguments(args: readonly string[], now: Date): FlowArguments {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {
    tenant: text, state: text, 'error-type': text, destination: text, gateway: text, study: text, since: text, why: text, by: text,
    limit: { ...text, default: '50' }, all: { type: 'boolean', default: false }, 'dry-run': { type: 'boolean', default: false },
  } });
  const problem = (what: string): StackError => new StackError(`${what}\n\n${usage}`);
  const [name, ...rest] = positionals;
  const action = actions.find((each) => each === name);
  if (!action) throw problem(name === undefined ? 'What shall be done?' : `There is no "flows ${name}".`);
  const priority = action === 'priority' ? Number(rest.shift()) : undefined;
  if (priority !== undefined && !isPriority(priority)) throw problem('priority takes 1 (urgent) to 5 (bulk).');
  const state = states.find((each) => each === values.state);
  if (values.state !== undefined && !state) throw problem(`--state takes one of ${states.join(', ')}.`);
  if (values.study !== undefined && !isUidShaped(values.study)) throw problem('--study takes a Study Instance UID.');
  if (rest.length === 0 && (action === 'show' || !isTenantId(values.tenant ?? ''))) throw problem(action === 'show' ? 'Name the flow: `./pacs flows list` has the IDs.' : '--tenant is missing.');
  const filter: FlowFilter = {
    tenantId: values.tenant ?? '', studyInstanceUID: values.study, destinationId: values.destination, gatewayId: values.gateway, errorType: values['error-type'],
    ...(state ? { states: [state] } : {}), ...(values.since === undefined ? {} : { since: timeOf(values.since, now) ?? fail(problem('--since takes yesterday, 24h, 7d or a day as 2026-01-31.')) }),
  };
  if (action === 'list' || action === 'show') return { action, flowIds: rest, filter, steering: undefined, dryRun: false, limit: Math.max(1, Number(values.limit) || 50) };
  const named = [state, values['error-type'], values.destination, values.gateway, values.study, values.since].some((value) => value !== undefined);
  if (rest.length === 0 && !named && !values.all) throw problem('Say which flows: by their IDs, by a filter, or --all.');
  if (!values.why?.trim() && !values['dry-run']) throw problem('Say why: --why "…". It is written into the history of the study.');
  const who = { by: values.by ?? userInfo().username, why: values.why ?? 'dry run' };
  return { action, flowIds: rest, filter, dryRun: values['dry-run'], limit: 0, steering: priority !== undefined ? { kind: 'priority', priority, ...who } : { kind: action as 'retry', ...who } };
}

/** @returns a time as ISO 8601 UTC; undefined when the text is none */
export function timeOf(text: string, now: Date): string | undefined {
  const span = /^(\d{1,4})([hd])$/.exec(text === 'yesterday' ? '24h' : text);
  if (span) return new Date(now.getTime() - Number(span[1]) * (span[2] === 'h' ? 3_600_000 : 86_400_000)).toISOString();
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

function fail(error: Error): never {
  throw error;
}

import type { DicomJson, JsonValue } from '../dicom/json.ts';
import { matchesWildCard } from '../dicom/matching.ts';
import type { StudyDocuments } from './documents.ts';
import { computedAttributes, indexedAttributes } from './indexedAttributes.ts';
import type { PackOrigin } from './pack.ts';
import { priorities, type Priority, type RoutingRule, type TenantConfig } from './tenant.ts';

/** One delivery that a rule asks for. */
export interface PlannedRoute {
  readonly ruleId: string;
  readonly destinationId: string;
  /** Whose queue sends; absent for DICOMweb destinations. */
  readonly gatewayId?: string;
  readonly priority: Priority;
}

/** What a rule's conditions look at. */
export interface RoutedStudy {
  readonly documents: StudyDocuments;
  readonly origins: readonly Pick<PackOrigin, 'gatewayId' | 'callingAETitle'>[];
}

/**
 * Rules × study → deliveries, in the order of the rules. A rule whose destination does not exist plans nothing here;
 * saving such a rule is refused. Two rules to one destination plan one delivery: the first.
 */
export function planRoutes(config: TenantConfig, study: RoutedStudy): readonly PlannedRoute[] {
  const planned = new Map<string, PlannedRoute>();
  for (const rule of config.rules) {
    const destination = config.destinations.find(({ destinationId }) => destinationId === rule.destinationId);
    if (!destination || planned.has(rule.destinationId) || !ruleMatches(rule, study)) continue;
    planned.set(rule.destinationId, {
      ruleId: rule.ruleId, destinationId: rule.destinationId, priority: rule.priority ?? priorities.routing,
      ...(destination.kind === 'dicom' ? { gatewayId: destination.gatewayId } : {}),
    });
  }
  return [...planned.values()];
}

/** Every condition holds; a condition with several values holds when one of them does. */
export function ruleMatches(rule: RoutingRule, { documents, origins }: RoutedStudy): boolean {
  if (rule.enabled === false) return false;
  if (rule.callingAETitles?.length && !origins.some(({ callingAETitle }) => rule.callingAETitles!.includes(callingAETitle))) return false;
  if (rule.gatewayIds?.length && !origins.some(({ gatewayId }) => rule.gatewayIds!.includes(gatewayId))) return false;
  const levels = [documents.study, ...documents.series, ...documents.instances].map(({ attributes }) => attributes);
  return Object.entries(rule.attributes ?? {}).every(([keyword, wanted]) => {
    const patterns = typeof wanted === 'string' ? [wanted] : wanted;
    const tag = tagOfKeyword.get(keyword);
    return tag !== undefined && levels.some((attributes) => patterns.some((pattern) => matches(attributes, tag, pattern)));
  });
}

/** Keywords that a rule may name. */
export const tagOfKeyword: ReadonlyMap<string, string> = new Map(
  [...indexedAttributes, ...computedAttributes].filter(({ vr }) => vr !== 'SQ').map(({ keyword, tag }) => [keyword, tag]));

function matches(attributes: DicomJson, tag: string, pattern: string): boolean {
  const wanted = folded(pattern);
  return (attributes[tag]?.Value ?? []).some((value) => texts(value).some((text) => matchesWildCard(wanted, folded(text))));
}

/** Without regard to case and outer spaces, as an admin expects of a rule. */
const folded = (text: string): string => text.trim().toLowerCase();

const texts = (value: JsonValue): readonly string[] =>
  typeof value === 'object' ? (value === null ? [] : Object.values(value).filter((part): part is string => typeof part === 'string')) : [String(value)];

import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { setCurrentDetails, setHandler, defineQuery, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { searchAttributes, statusQuery, type FlowState, type FlowStatus } from './contracts.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
export const keys = {
  flowState: keyword(searchAttributes.flowState),
  errorType: keyword(searchAttributes.errorType),
  studyInstanceUIDs: defineSearchAttributeKey(searchAttributes.studyInstanceUIDs, SearchAttributeType.KEYWORD_LIST),
  conflictCount: defineSearchAttributeKey(searchAttributes.conflictCount, SearchAttributeType.INT),
  instanceCount: defineSearchAttributeKey(searchAttributes.instanceCount, SearchAttributeType.INT),
} as const;

/** What holds a part of a flow up; the first of these that applies is the flow's state. */
const heldStates = ['ATTENTION', 'EDGE_OFFLINE', 'DESTINATION_AWAY'] as const;
export type HeldState = (typeof heldStates)[number];

interface Hold { readonly state: HeldState; readonly sentence: string; readonly errorType: string }

/** Sentences shown of what holds a flow up: the rest are a number. */
const maxSentences = 5;

/** Where a flow stands, for the Temporal UI (search attributes, current details) and for the `status` query. */
export interface FlowBoard {
  /** What the flow does as far as nothing holds it up. Costs no history event. */
  say(sentence: string): void;
  /**
   * Something holds a part of the flow up. One history event when the flow's state or error changes with it.
   *
   * @returns takes the notice down
   */
  hold(state: HeldState, sentence: string, errorType: string): () => void;
  /** The flow is over. */
  close(state: 'DONE' | 'REJECTED', sentence: string): void;
}

/**
 * The state starts as the search attribute has it: continue-as-new hands search attributes over.
 *
 * @param counts what the flow has counted so far, read when somebody asks
 */
export function openFlowBoard(counts: () => Readonly<Record<string, number>>): FlowBoard {
  const { typedSearchAttributes } = workflowInfo();
  let shown: { readonly state: string | undefined; readonly errorType: string | undefined } =
    { state: typedSearchAttributes.get(keys.flowState), errorType: typedSearchAttributes.get(keys.errorType) };
  const holds = new Set<Hold>();
  let said = 'Started.';
  let closed: 'DONE' | 'REJECTED' | undefined;

  const status = (): { readonly state: FlowState; readonly sentence: string; readonly errorType: string | undefined } => {
    const ordered = heldStates.flatMap((state) => [...holds].filter((hold) => hold.state === state));
    const [first] = ordered;
    if (closed || !first) return { state: closed ?? 'RUNNING', sentence: said, errorType: undefined };
    const more = ordered.length > maxSentences ? [`${ordered.length - maxSentences} more wait.`] : [];
    return { state: first.state, errorType: first.errorType, sentence: [...ordered.slice(0, maxSentences).map(({ sentence }) => sentence), ...more, said].join(' ') };
  };
  const render = () => {
    const { state, sentence, errorType } = status();
    setCurrentDetails(`**${state}** ${sentence}`);
    if (state !== shown.state || errorType !== shown.errorType) {
      upsertSearchAttributes([{ key: keys.flowState, value: state }, ...(errorType === shown.errorType ? [] : [{ key: keys.errorType, value: errorType ?? null }])]);
    }
    shown = { state, errorType };
  };
  setHandler(defineQuery<FlowStatus>(statusQuery), () => ({ state: status().state, sentence: status().sentence, counts: counts() }));

  return {
    say(sentence) {
      said = sentence;
      render();
    },
    hold(state, sentence, errorType) {
      const hold = { state, sentence, errorType };
      holds.add(hold);
      render();
      return () => {
        if (holds.delete(hold)) render();
      };
    },
    close(state, sentence) {
      closed = state;
      said = sentence;
      render();
    },
  };
}

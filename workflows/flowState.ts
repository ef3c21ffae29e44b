import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { setCurrentDetails, setHandler, defineQuery, upsertSearchAttributes } from '@temporalio/workflow';
import { searchAttributes, statusQuery, type FlowState, type FlowStatus } from './contracts.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
export const keys = {
  flowState: keyword(searchAttributes.flowState),
  errorType: keyword(searchAttributes.errorType),
  studyInstanceUIDs: defineSearchAttributeKey(searchAttributes.studyInstanceUIDs, SearchAttributeType.KEYWORD_LIST),
  instanceCount: defineSearchAttributeKey(searchAttributes.instanceCount, SearchAttributeType.INT),
} as const;

/** Where a flow stands, for the Temporal UI (search attribute, current details) and for the `status` query. */
export interface FlowBoard {
  /** One history event when the state or error changes; the sentence alone costs none. */
  show(state: FlowState, sentence: string, errorType?: string): void;
  readonly state: FlowState;
}

/** @param counts what the flow has counted so far, read when somebody asks */
export function openFlowBoard(counts: () => Readonly<Record<string, number>>): FlowBoard {
  let shown: { readonly state: FlowState; readonly errorType: string | undefined } = { state: 'RUNNING', errorType: undefined };
  let sentence = 'Started.';
  setHandler(defineQuery<FlowStatus>(statusQuery), () => ({ state: shown.state, sentence, counts: counts() }));
  return {
    get state() {
      return shown.state;
    },
    show(state, text, errorType) {
      sentence = text;
      setCurrentDetails(`**${state}** ${text}`);
      if (state !== shown.state) upsertSearchAttributes([{ key: keys.flowState, value: state }]);
      if (errorType !== shown.errorType) upsertSearchAttributes([{ key: keys.errorType, value: errorType ?? null }]);
      shown = { state, errorType };
    },
  };
}

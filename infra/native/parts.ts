/** The processes of the stack. Servers are other people's programs, own processes are this project's. */
export const SERVERS = ['temporal', 's3', 'opensearch'] as const;
export const OWN_PROCESSES = ['worker', 'gateway', 'api'] as const;
export const PARTS = [...SERVERS, ...OWN_PROCESSES] as const;

export type Server = (typeof SERVERS)[number];
export type OwnProcess = (typeof OWN_PROCESSES)[number];
export type Part = (typeof PARTS)[number];

/** First the door to the hospital, then the readers, then the work in progress, and what they all need last. */
export const STOP_ORDER: readonly (readonly Part[])[] = [['gateway'], ['api'], ['worker'], ['temporal', 's3', 'opensearch']];

export const isServer = (part: Part): part is Server => (SERVERS as readonly string[]).includes(part);
export const isPart = (name: string): name is Part => (PARTS as readonly string[]).includes(name);

/** What a person sees while the stack starts and runs. */
export type Progress = {
  readonly subject: Part | 'download' | 'stack';
  readonly state: 'downloading' | 'starting' | 'ready' | 'external' | 'warning' | 'stopping' | 'stopped' | 'crashed';
  readonly text: string;
};
export type OnProgress = (progress: Progress) => void;

/** A failure that the person at the terminal can do something about: its message says what. Shown without a stack trace. */
export class StackError extends Error {
  override readonly name = 'StackError';
}

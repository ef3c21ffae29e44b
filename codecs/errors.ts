export type CodecProblem =
  /** No codec for this syntax, or for images of this kind in it. */
  | 'unsupported'
  /** More pixels or bytes than this process takes. */
  | 'tooLarge'
  /** The bytes are not what the header or the transfer syntax says. */
  | 'corrupt'
  /** The job took too long, or its thread died of it. */
  | 'failed'
  /** Too many jobs wait, or the process stops; the same job may succeed later. */
  | 'busy';

/** A frame or a file that was not decoded, encoded or rendered. The message is a sentence without attribute values. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  readonly problem: CodecProblem;

  constructor(problem: CodecProblem, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.problem = problem;
  }
}

/** What the gateway logs with: UIDs, AE titles, counts and keys; no attribute values. pino fits. */
export interface Log {
  info(fields: object, sentence: string): void;
  warn(fields: object, sentence: string): void;
  error(fields: object, sentence: string): void;
}

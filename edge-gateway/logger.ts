/** What the gateway logs through; pino's loggers fit. One line an incident, no attribute of a patient. */
export interface Logger {
  info(fields: object, sentence: string): void;
  warn(fields: object, sentence: string): void;
  error(fields: object, sentence: string): void;
}

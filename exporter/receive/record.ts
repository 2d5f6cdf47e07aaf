/**
 * One access record, as the gateway sent it, for tests and tools: counting reads a batch's columns and makes no
 * objects. Text is raw: it is hostile until `measure/` has put it into a bounded label, and must never be logged.
 */
export interface AccessRecord {
  /** Seconds since 1970 when the request began; undefined when the record has no time. */
  readonly timeSeconds: number | undefined;
  /** Empty when not known. */
  readonly clientAddress: string;
  /** Empty when not known. */
  readonly method: string;
  /** Empty when not known. */
  readonly path: string;
  /** Empty when the caller claimed nothing. */
  readonly nodeId: string;
  /** Number as sent; undefined when missing, NaN when the text is no whole number from 0 up. */
  readonly code: number | undefined;
  /** As `code`. */
  readonly durationMilliseconds: number | undefined;
  /** As `code`. */
  readonly requestBytes: number | undefined;
  /** As `code`. */
  readonly responseBytes: number | undefined;
}

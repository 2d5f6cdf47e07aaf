/**
 * One access record, as the gateway sent it. Text is raw: it is hostile until `measure/` has put it into
 * a bounded label, and must never be logged.
 */
export interface AccessRecord {
  /** Seconds since 1970 when the request began; undefined when the record has no time. */
  timeSeconds: number | undefined;
  /** Empty when not known. */
  clientAddress: string;
  /** Empty when not known. */
  method: string;
  /** Empty when not known. */
  path: string;
  /** Empty when the caller claimed nothing. */
  nodeId: string;
  /** Number as sent; undefined when missing, NaN when the text is no whole number from 0 up. */
  code: number | undefined;
  /** As `code`. */
  durationMilliseconds: number | undefined;
  /** As `code`. */
  requestBytes: number | undefined;
  /** As `code`. */
  responseBytes: number | undefined;
}

/** A record about which nothing is known. */
export function emptyRecord(): AccessRecord {
  return {
    timeSeconds: undefined,
    clientAddress: "",
    method: "",
    path: "",
    nodeId: "",
    code: undefined,
    durationMilliseconds: undefined,
    requestBytes: undefined,
    responseBytes: undefined,
  };
}

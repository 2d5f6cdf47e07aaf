/**
 * One access record, as the gateway's OTLP access logger sends it and the exporter reads it. These tables are the whole
 * contract between the two: `components/gatewayAccessLog.ts` turns them into Envoy's format, `decode.ts` reads it back.
 *
 * Who called stands in two attributes, what was called in the record's body, as one line:
 * `GET 304 12 0 450 /api/v1/server/UniProxy/config`. An attribute costs the gateway three times what a word of the line
 * does, and one with a long name more than that (docs/decisions/access-log-cost.md).
 *
 * Every value is an Envoy format string, so it arrives as text; Envoy writes `-` for "not known". The query string is in
 * none of them: XrayR's requests carry the panel's token there. `nodeId` names one parameter of it and nothing else.
 */

/** The attributes, and their keys on the wire. */
export const accessRecordAttributes = {
  /** The true client's address without a port, from the PROXY header. */
  clientAddress: "ip",
  /** What the caller claims to be (`node_id` of the query); a claim, not proof. */
  nodeId: "node",
} as const;

/** The body's words, with one space between two of them. The path is the last: it alone may hold a space. */
export const accessRecordLine = [
  /** HTTP method as sent. */
  "method",
  /** Response code as sent; `0` when the client went away before an answer. */
  "code",
  /** Whole milliseconds from the request's first byte to the response's last. */
  "durationMilliseconds",
  /** Bytes of the request's body. */
  "requestBytes",
  /** Bytes of the response's body. */
  "responseBytes",
  /** Path without the query string. */
  "path",
] as const;

/** One of the fields of an access record, by its name in this project. */
export type AccessRecordField = keyof typeof accessRecordAttributes | (typeof accessRecordLine)[number];

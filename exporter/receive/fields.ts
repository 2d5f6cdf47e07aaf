/**
 * The attributes of one access record, as the gateway's OTLP access logger sends them and the exporter
 * reads them. This table is the whole contract between the two: `components/gatewayAccessLog.ts` turns it
 * into Envoy's format, `decode.ts` reads it back. Names are short, because Envoy builds and copies each of them for
 * every request: OpenTelemetry's own names made the whole gateway 7 % dearer (docs/decisions/access-log-cost.md).
 *
 * Every value is an Envoy format string, so it arrives as an OTLP string; Envoy writes `-` for "not known".
 * The query string is in none of them: XrayR's requests carry the panel's token there. `nodeId` names one
 * parameter of it and nothing else.
 */
export const accessRecordFields = {
  /** The true client's address without a port, from the PROXY header. */
  clientAddress: "ip",
  /** HTTP method as sent. */
  method: "method",
  /** Path without the query string. */
  path: "path",
  /** Response code as sent; `0` when the client went away before an answer. */
  code: "code",
  /** Whole milliseconds from the request's first byte to the response's last. */
  durationMilliseconds: "ms",
  /** Bytes of the request's body. */
  requestBytes: "rx",
  /** Bytes of the response's body. */
  responseBytes: "tx",
  /** What the caller claims to be (`node_id` of the query); a claim, not proof. */
  nodeId: "node",
} as const;

/** One of the fields of an access record, by its name in this project. */
export type AccessRecordField = keyof typeof accessRecordFields;

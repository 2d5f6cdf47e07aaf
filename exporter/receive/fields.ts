/**
 * The attributes of one access record, as the gateway's OTLP access logger sends them and the exporter
 * reads them. This table is the whole contract between the two: `components/gatewayAccessLog.ts` turns it
 * into Envoy's format, `decode.ts` reads it back. Names follow OpenTelemetry's semantic conventions.
 *
 * Every value is an Envoy format string, so it arrives as an OTLP string; Envoy writes `-` for "not known".
 * The query string is in none of them: XrayR's requests carry the panel's token there. `nodeId` names one
 * parameter of it and nothing else.
 */
export const accessRecordFields = {
  /** The true client's address without a port, from the PROXY header. */
  clientAddress: "client.address",
  /** HTTP method as sent. */
  method: "http.request.method",
  /** Path without the query string. */
  path: "url.path",
  /** Response code as sent; `0` when the client went away before an answer. */
  code: "http.response.status_code",
  /** Whole milliseconds from the request's first byte to the response's last. */
  durationMilliseconds: "http.server.request.duration",
  /** Bytes of the request's body. */
  requestBytes: "http.request.body.size",
  /** Bytes of the response's body. */
  responseBytes: "http.response.body.size",
  /** What the caller claims to be (`node_id` of the query); a claim, not proof. */
  nodeId: "vpsight.node_id",
} as const;

/** One of the fields of an access record, by its name in this project. */
export type AccessRecordField = keyof typeof accessRecordFields;

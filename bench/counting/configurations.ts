import type { AccessRecordField } from "../../exporter/receive/fields";

/** The record's fields one by one, for those who do not read our line: attributes to the Collector, keys to mtail. */
export const plainFields = {
  ...{ clientAddress: "client_address", method: "method", path: "path", code: "code" },
  ...{ durationMilliseconds: "duration", requestBytes: "request_bytes", responseBytes: "response_bytes" },
  nodeId: "node_id",
} as const satisfies Record<AccessRecordField, string>;

/** Upper bounds in milliseconds, as many as the exporter's histogram has. */
const bucketsMilliseconds = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/**
 * The Collector's own way to count: no join with an inventory, no region, no bucket for unknown callers, paths as they
 * come, no check of claims and no zeros for silent VPSes; otherwise the same series. JSON is YAML.
 * @param accumulates whether the processor is there that adds the connector's deltas up. Without it the exporter shows
 *   each batch's count instead of the sum: signaltometrics sends deltas without a start time, which prometheusexporter
 *   needs to add them (0.155.0, accumulator.go).
 */
export function collectorConfig(otlp: number, http: number, accumulates: boolean) {
  const { clientAddress, method, path, code, durationMilliseconds, requestBytes, responseBytes } =
    plainFields;
  const key = (...names: string[]) => names.map((name) => ({ key: name }));
  const int = (name: string) => `Int(log.attributes["${name}"])`;
  const double = (name: string) => `Double(log.attributes["${name}"])`;
  const sum = (name: string, value: string, attributes: readonly { key: string }[]) => ({
    ...{ name, description: name, attributes },
    sum: { value, monotonic: true },
  });
  return {
    receivers: { otlp: { protocols: { grpc: { endpoint: `127.0.0.1:${otlp}` } } } },
    connectors: {
      signal_to_metrics: {
        logs: [
          sum("requests", "1", key(clientAddress, method, path, code)),
          sum("request_bytes", int(requestBytes), key(clientAddress, path)),
          sum("response_bytes", int(responseBytes), key(clientAddress, path)),
          {
            ...{ name: "duration", description: "duration", attributes: key(clientAddress, path) },
            histogram: { buckets: bucketsMilliseconds, count: "1", value: double(durationMilliseconds) },
          },
        ],
      },
    },
    processors: accumulates ? { deltatocumulative: {} } : {},
    exporters: { prometheus: { endpoint: `127.0.0.1:${http}` } },
    service: {
      telemetry: { metrics: { level: "none" }, logs: { level: "warn" } },
      pipelines: {
        logs: { receivers: ["otlp"], exporters: ["signal_to_metrics"] },
        metrics: {
          receivers: ["signal_to_metrics"],
          processors: accumulates ? ["deltatocumulative"] : [],
          exporters: ["prometheus"],
        },
      },
    },
  };
}

const captures: Readonly<Record<string, string>> = {
  [plainFields.clientAddress]: String.raw`"(?P<client_address>[^"]+)"`,
  [plainFields.method]: String.raw`"(?P<method>[^"]+)"`,
  [plainFields.path]: String.raw`"(?P<path>[^"]+)"`,
  [plainFields.code]: String.raw`(?P<code>\d+)`,
  [plainFields.durationMilliseconds]: String.raw`(?P<duration>\d+)`,
  [plainFields.requestBytes]: String.raw`(?P<request_bytes>\d+)`,
  [plainFields.responseBytes]: String.raw`(?P<response_bytes>\d+)`,
};

/**
 * The same counts from the JSON lines. One regular expression for the whole line, in the order in which Envoy writes its
 * fields: mtail's fastest way.
 * @param line any line of the log.
 */
export function mtailProgram(line: string): string {
  const keys = Object.keys(JSON.parse(line) as Readonly<Record<string, unknown>>);
  const wanted = keys.filter((key) => key in captures);
  // `.*` only where something stands between two fields that are read.
  const pattern = wanted
    .map((key, index) => {
      const follows = index > 0 && keys.indexOf(key) === keys.indexOf(wanted[index - 1] ?? "") + 1;
      return `${index === 0 ? "" : follows ? "," : ",.*"}"${key}":${captures[key]}`;
    })
    .join("");
  return `counter requests_total by client_address, method, path, code
counter request_bytes_total by client_address, path
counter response_bytes_total by client_address, path
histogram duration_milliseconds by client_address, path buckets 0, ${bucketsMilliseconds.join(", ")}

/${pattern.replaceAll("/", "\\/")}/ {
  requests_total[$client_address][$method][$path][$code]++
  request_bytes_total[$client_address][$path] += $request_bytes
  response_bytes_total[$client_address][$path] += $response_bytes
  duration_milliseconds[$client_address][$path] = $duration
}
`;
}

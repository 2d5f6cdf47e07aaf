import {
  accessLogPatch,
  GatewayAccessLog,
  recordOperators,
  type AccessLogSettings,
} from "../components/gatewayAccessLog";
import { accessRecordAttributes } from "../exporter/receive/fields";
import { record } from "./support/mocks";

const settings: AccessLogSettings = {
  pathPrefixes: ["/api/v1/server/", "/api/v2/server/"],
  stdout: true,
  bufferBytes: 16384,
  flushInterval: "1s",
  retries: 20,
  receiver: { host: "vpsight-exporter.vpsight.svc.cluster.local", port: 4317 },
};

interface Logger {
  name: string;
  filter: unknown;
  typed_config: {
    common_config?: { grpc_service: { envoy_grpc: { cluster_name: string; authority: string } } };
    body?: { string_value: string };
    attributes?: { values: { key: string; value: { string_value: string } }[] };
    log_format?: { json_format: Record<string, string> };
  };
}

function loggers(changed: Partial<AccessLogSettings> = {}): Logger[] {
  const value = accessLogPatch({ ...settings, ...changed }).patch?.value as {
    typed_config: { access_log: Logger[] };
  };
  return value.typed_config.access_log;
}

test("two loggers, the OTLP one first; stdout can be left out", () => {
  expect(loggers().map(({ name }) => name)).toEqual([
    "envoy.access_loggers.open_telemetry",
    "envoy.access_loggers.file",
  ]);
  expect(loggers({ stdout: false }).map(({ name }) => name)).toEqual(["envoy.access_loggers.open_telemetry"]);
});

test("the OTLP logger sends every field of the contract under the exporter's host name", () => {
  const [otlp] = loggers();
  expect(otlp?.typed_config.attributes?.values.map(({ key }) => key)).toEqual(
    Object.values(accessRecordAttributes),
  );
  expect(otlp?.typed_config.body?.string_value).toBe(
    "%REQ(:METHOD)% %RESPONSE_CODE% %DURATION% %BYTES_RECEIVED% %BYTES_SENT% %PATH(NQ)%",
  );
  expect(otlp?.typed_config.common_config?.grpc_service.envoy_grpc).toEqual({
    cluster_name: "vpsight|4317||vpsight-exporter.vpsight.svc.cluster.local",
    authority: "vpsight-exporter.vpsight.svc.cluster.local",
  });
});

test("stdout has what a person reads, and leaves to the exporter what only the metrics need", () => {
  const [, stdout] = loggers();
  expect(Object.keys(stdout?.typed_config.log_format?.json_format ?? {})).toEqual([
    ...["start_time", "client_address", "method", "path", "response_code", "duration", "response_flags"],
  ]);
});

test("no operator of either format can carry the query string", () => {
  const formats = loggers().flatMap(({ typed_config }) => [
    ...(typed_config.body?.string_value.split(" ") ?? []),
    ...(typed_config.attributes?.values.map(({ value }) => value.string_value) ?? []),
    ...Object.values(typed_config.log_format?.json_format ?? {}),
  ]);
  expect(formats.length).toBeGreaterThan(Object.keys(recordOperators).length);
  const namesTheQuery =
    /REQ\(:PATH|REQ\(:?referer|X-ENVOY-ORIGINAL-PATH|PATH\((?!NQ)|QUERY_PARAMS|QUERY_PARAM\((?!node_id\))/i;
  expect(formats.filter((format) => namesTheQuery.test(format))).toEqual([]);
});

test("both loggers see only the server API; one prefix needs no or_filter, which Envoy would refuse", () => {
  const [first] = loggers();
  expect(loggers().map(({ filter }) => filter)).toEqual([first?.filter, first?.filter]);
  expect(first?.filter).toEqual({
    or_filter: {
      filters: ["/api/v1/server/", "/api/v2/server/"].map((prefix) => ({
        header_filter: { header: { name: ":path", string_match: { prefix } } },
      })),
    },
  });
  expect(loggers({ pathPrefixes: ["/only/"] })[0]?.filter).toEqual({
    header_filter: { header: { name: ":path", string_match: { prefix: "/only/" } } },
  });
});

test("one EnvoyFilter, which merges into every connection manager of the gateway", async () => {
  const gateway = { namespace: "edge", service: "gateway", selector: { app: "edge-gateway" } };
  const recorded = await record(
    () => void new GatewayAccessLog("log", { ...settings, objectName: "vpsight", gateway }, {}),
  );
  expect(recorded).toHaveLength(1);
  expect(recorded[0]?.inputs).toMatchObject({
    kind: "EnvoyFilter",
    metadata: { name: "vpsight-access-log", namespace: "edge" },
    spec: {
      workloadSelector: { labels: { app: "edge-gateway" } },
      configPatches: [
        { applyTo: "CLUSTER", patch: { operation: "ADD" } },
        { applyTo: "CLUSTER", patch: { operation: "ADD" } },
        {
          applyTo: "NETWORK_FILTER",
          match: {
            context: "GATEWAY",
            listener: { filterChain: { filter: { name: "envoy.filters.network.http_connection_manager" } } },
          },
          patch: { operation: "MERGE" },
        },
      ],
    },
  });
});

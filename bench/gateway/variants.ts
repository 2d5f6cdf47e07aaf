import { accessLogPatch, type AccessLogSettings } from "../../components/gatewayAccessLog";
import { receiverClusterName } from "../../components/receiverCluster";

/** An entry of Envoy's `access_log` list. */
export type AccessLogger = Readonly<Record<string, unknown>>;

/** A gateway that differs from the others in its access log only. */
export interface Variant {
  name: string;
  /** For people. */
  title: string;
  loggers: readonly AccessLogger[];
  /** The path of the requests; the query string is the same for all. */
  path: string;
}

/** Where the sink for OTLP stands in the measured Envoy's clusters. */
export const receiver = { host: "sink.invalid", port: 4317 };

/** The name that the component gives the exporter's cluster. */
export const otlpCluster = receiverClusterName(receiver);

export const pathInScope = "/api/v1/server/UniProxy/config";
const pathOutOfScope = "/api/v1/passport/auth/login_now";

/** The loggers as the component makes them. */
export function ownLoggers(settings: AccessLogSettings): AccessLogger[] {
  const { patch } = accessLogPatch(settings);
  return (patch?.value as { typed_config: { access_log: AccessLogger[] } }).typed_config.access_log;
}

export function createVariants(settings: Omit<AccessLogSettings, "receiver" | "stdout">): Variant[] {
  const both = ownLoggers({ ...settings, receiver, stdout: true });
  const otlp = ownLoggers({ ...settings, receiver, stdout: false });
  const path = pathInScope;
  return [
    { name: "none", title: "no log", loggers: [], path },
    { name: "istioJson", title: "Istio's default JSON on stdout", loggers: [istioJsonLogger], path },
    { name: "otlp", title: "our OTLP logger", loggers: otlp, path },
    { name: "both", title: "our two loggers", loggers: both, path },
    { name: "nativeStats", title: "Envoy's own stats logger", loggers: [nativeStatsLogger], path },
    { name: "outOfScope", title: "our two loggers, path out of scope", loggers: both, path: pathOutOfScope },
  ];
}

/**
 * What Istio writes with `accessLogFile: /dev/stdout` and `accessLogEncoding: JSON`.
 * https://github.com/istio/istio/blob/1.31.0/pilot/pkg/model/telemetry_logging.go (EnvoyJSONLogFormatIstio)
 */
const istioJsonLogger: AccessLogger = {
  name: "envoy.access_loggers.file",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
    path: "/dev/stdout",
    log_format: {
      json_format: {
        start_time: "%START_TIME%",
        route_name: "%ROUTE_NAME%",
        method: "%REQ(:METHOD)%",
        path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        protocol: "%PROTOCOL%",
        response_code: "%RESPONSE_CODE%",
        response_flags: "%RESPONSE_FLAGS%",
        response_code_details: "%RESPONSE_CODE_DETAILS%",
        connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
        bytes_received: "%BYTES_RECEIVED%",
        bytes_sent: "%BYTES_SENT%",
        duration: "%DURATION%",
        upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
        user_agent: "%REQ(USER-AGENT)%",
        request_id: "%REQ(X-REQUEST-ID)%",
        authority: "%REQ(:AUTHORITY)%",
        upstream_host: "%UPSTREAM_HOST%",
        upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
        upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
        downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
        downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
        requested_server_name: "%REQUESTED_SERVER_NAME%",
        upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
      },
    },
  },
};

/**
 * The limit: Envoy counts by itself, with the client's address as a tag. Nothing joins it with an inventory, and nothing
 * bounds it: each address that ever called stays a series until the pod ends.
 */
const nativeStatsLogger: AccessLogger = {
  name: "envoy.access_loggers.stats",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
    stat_prefix: "vps",
    counters: [
      {
        stat: {
          name: "requests",
          tags: [
            { name: "client_address", value_format: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" },
            { name: "method", value_format: "%REQ(:METHOD)%" },
            { name: "path", value_format: "%PATH(NQ)%" },
            { name: "code", value_format: "%RESPONSE_CODE%" },
          ],
        },
        value_fixed: 1,
      },
    ],
    histograms: [
      {
        stat: {
          name: "duration",
          tags: [
            { name: "client_address", value_format: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" },
            { name: "path", value_format: "%PATH(NQ)%" },
          ],
        },
        unit: "Milliseconds",
        value_format: "%DURATION%",
      },
    ],
  },
};

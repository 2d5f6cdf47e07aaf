import * as pulumi from "@pulumi/pulumi";
import { accessRecordAttributes, accessRecordLine, type AccessRecordField } from "../exporter/receive/fields";
import { everyConnectionManager, gatewayFilter, type ConfigPatch, type Gateway } from "./gateway";
import { receiverClusterName, receiverClusters, type Receiver } from "./receiverCluster";

/** What decides the gateway's log format and its delivery. */
export interface AccessLogSettings {
  /** Only requests whose path starts with one of these are logged. */
  pathPrefixes: string[];
  /** Also write JSON lines to the gateway's stdout, for any log agent. */
  stdout: boolean;
  /** A batch is sent at this size in bytes … */
  bufferBytes: number;
  /** … or at this age, such as `1s`. */
  flushInterval: string;
  /** How often a batch is tried again while the exporter is away. */
  retries: number;
  /** Where the OTLP port is, the exporter's or that of a Collector in front of it. */
  receiver: Receiver;
}

export interface GatewayAccessLogArgs extends AccessLogSettings {
  /** Prefix of the objects' names. */
  objectName: string;
  gateway: Gateway;
}

/**
 * Gives the gateway its log format, twice: JSON on stdout, and the OTLP logger to the exporter. Each field is
 * named; the query string is in none, because XrayR's requests carry the panel's token there.
 */
export class GatewayAccessLog extends pulumi.ComponentResource {
  constructor(name: string, args: GatewayAccessLogArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:gateway:GatewayAccessLog", name, {}, options);
    const objectName = `${args.objectName}-access-log`;
    const configPatches = accessLogPatches(args);
    gatewayFilter(`${name}-filter`, { objectName, gateway: args.gateway, configPatches }, { parent: this });
    this.registerOutputs({});
  }
}

/**
 * Envoy's operator for each field of the access record. Every one was accepted by Envoy 1.36 to 1.40; one that
 * is not makes Envoy reject the whole listener, so a change here is tried on each of them (`make test`).
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
 */
export const recordOperators: Readonly<Record<AccessRecordField, string>> = {
  clientAddress: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
  method: "%REQ(:METHOD)%",
  path: "%PATH(NQ)%",
  code: "%RESPONSE_CODE%",
  durationMilliseconds: "%DURATION%",
  requestBytes: "%BYTES_RECEIVED%",
  responseBytes: "%BYTES_SENT%",
  nodeId: "%QUERY_PARAM(node_id)%",
};

/**
 * What a person looks for on the gateway's stdout. Each field costs the gateway CPU time on every request: what only the
 * metrics need (sizes, node id) goes to the exporter alone. docs/decisions/access-log-cost.md
 */
const stdoutFormat = {
  start_time: "%START_TIME%",
  client_address: recordOperators.clientAddress,
  method: recordOperators.method,
  path: recordOperators.path,
  response_code: recordOperators.code,
  duration: recordOperators.durationMilliseconds,
  response_flags: "%RESPONSE_FLAGS%",
};

/** The whole change: the clusters first, since the loggers name one of them. */
export const accessLogPatches = (settings: AccessLogSettings): ConfigPatch[] => [
  ...receiverClusters(settings.receiver),
  accessLogPatch(settings),
];

/** MERGE appends to a list, so loggers that are there already stay. */
export function accessLogPatch(settings: AccessLogSettings): ConfigPatch {
  const filter = pathFilter(settings.pathPrefixes);
  const loggers = [otlpLogger(settings), ...(settings.stdout ? [stdoutLogger()] : [])];
  const value = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      access_log: loggers.map((logger) => ({ ...logger, filter })),
    },
  };
  return { applyTo: "NETWORK_FILTER", match: everyConnectionManager, patch: { operation: "MERGE", value } };
}

function otlpLogger({ receiver, bufferBytes, flushInterval, retries }: AccessLogSettings) {
  return {
    name: "envoy.access_loggers.open_telemetry",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
      common_config: {
        log_name: "vpsight",
        transport_api_version: "V3",
        grpc_service: {
          envoy_grpc: {
            cluster_name: receiverClusterName(receiver),
            // Envoy would send the cluster's name as :authority, and Node's HTTP/2 resets every stream for its "|",
            // while Envoy counts the records as written.
            authority: receiver.host,
          },
        },
        buffer_size_bytes: bufferBytes,
        buffer_flush_interval: flushInterval,
        grpc_stream_retry_policy: {
          num_retries: retries,
          retry_back_off: { base_interval: "0.25s", max_interval: "5s" },
        },
      },
      disable_builtin_labels: true,
      body: { string_value: accessRecordLine.map((field) => recordOperators[field]).join(" ") },
      attributes: {
        values: entries(accessRecordAttributes).map(([field, key]) => ({
          key,
          value: { string_value: recordOperators[field] },
        })),
      },
    },
  };
}

function stdoutLogger() {
  return {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path: "/dev/stdout",
      log_format: { json_format: stdoutFormat },
    },
  };
}

/** Keeps everything that is not the server API, such as a panel user's browsing, out of the log. */
function pathFilter(prefixes: readonly string[]) {
  const filters = prefixes.map((prefix) => ({
    header_filter: { header: { name: ":path", string_match: { prefix } } },
  }));
  const [only] = filters;
  // An or_filter of fewer than two is refused by Envoy.
  return filters.length === 1 && only !== undefined ? only : { or_filter: { filters } };
}

function entries<Key extends string, Value>(record: Readonly<Record<Key, Value>>): [Key, Value][] {
  return (Object.keys(record) as Key[]).map((key) => [key, record[key]]);
}

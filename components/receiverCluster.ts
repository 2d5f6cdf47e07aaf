import type { ConfigPatch } from "./gateway";

/** Where an OTLP receiver is: a Service's host name, and its port. */
export interface Receiver {
  host: string;
  port: number;
}

/**
 * Batches that may wait for another try at one time, in one gateway pod; what is beyond is dropped and counted in
 * `logs_dropped`. With batches of 64 KiB that is at most 64 MiB of the gateway's memory, and room for the records of 30 s
 * at about 6,000 requests a second.
 */
export const mostWaitingBatches = 1024;

/** The cluster that the gateway's logger sends to. */
export const receiverClusterName = ({ host, port }: Receiver) => `vpsight|${port}||${host}`;

const nobodyName = (receiver: Receiver) => `${receiverClusterName(receiver)}|nobody`;

/**
 * Two clusters around the one that Istio makes of the receiver's Service. Envoy's OTLP logger tries a batch again after
 * a failed connection and after nothing else, and a Service without ready pods has no address to fail at: its
 * batches would be dropped at once, whatever the retries. So an aggregate cluster falls back to an address where
 * nobody listens: connecting fails there, and the batch waits and tries again.
 * https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/aggregate_cluster
 * https://github.com/envoyproxy/envoy/blob/main/source/extensions/access_loggers/common/grpc_access_logger_clients.h
 */
export function receiverClusters(receiver: Receiver): ConfigPatch[] {
  return [nobody(receiver), aggregate(receiver)].map((value) => ({
    applyTo: "CLUSTER",
    match: { context: "GATEWAY" },
    patch: { operation: "ADD", value },
  }));
}

function aggregate(receiver: Receiver) {
  return {
    name: receiverClusterName(receiver),
    connect_timeout: "5s",
    lb_policy: "CLUSTER_PROVIDED",
    cluster_type: {
      name: "envoy.clusters.aggregate",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig",
        // In order: the second gets traffic while the first has nobody.
        clusters: [`outbound|${receiver.port}||${receiver.host}`, nobodyName(receiver)],
      },
    },
    // Envoy's own default allows three retries at a time.
    circuit_breakers: { thresholds: [{ max_retries: mostWaitingBatches }] },
  };
}

function nobody(receiver: Receiver) {
  const address = { socket_address: { address: "127.0.0.1", port_value: 1 } };
  return {
    name: nobodyName(receiver),
    type: "STATIC",
    connect_timeout: "1s",
    // Tries wait for the connection that is about to fail: as many as there are batches.
    circuit_breakers: { thresholds: [{ max_pending_requests: mostWaitingBatches }] },
    load_assignment: {
      cluster_name: nobodyName(receiver),
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
  };
}

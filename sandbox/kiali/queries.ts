/**
 * What Kiali asks Prometheus for its graph, one namespace after the other. Kiali 2 rounds to 0.001, so that rates below
 * 0.0005 vanish; older ones do not.
 * https://github.com/kiali/kiali/blob/master/graph/telemetry/istio/istio.go
 */
const groupBy = [
  "source_cluster",
  "source_workload_namespace",
  "source_workload",
  "source_canonical_service",
  "source_canonical_revision",
  "destination_cluster",
  "destination_service_namespace",
  "destination_service",
  "destination_service_name",
  "destination_workload_namespace",
  "destination_workload",
  "destination_canonical_service",
  "destination_canonical_revision",
  "request_protocol",
] as const;

/** Labels without which Kiali leaves a series out, saying so in its log at most. */
export const requiredLabels = groupBy.filter((label) => !label.endsWith("_cluster"));

const trafficBy = [...groupBy, "response_code", "grpc_response_status", "response_flags"].join(",");

/** The queries for the traffic of a namespace: requests that met no workload, incoming, outgoing; in this order. */
export function trafficQueries(namespace: string, windowSeconds: number): string[] {
  const query = (selector: string) =>
    `round(sum(rate(istio_requests_total{${selector}}[${windowSeconds}s])) by (${trafficBy}) > 0,0.001)`;
  return [
    query(
      `reporter="source",source_workload_namespace!="${namespace}",destination_workload_namespace="unknown",` +
        `destination_workload="unknown",destination_service=~"^.+\\\\.${namespace}\\\\..+$"`,
    ),
    query(`reporter="destination",destination_workload_namespace="${namespace}"`),
    query(`reporter="source",source_workload_namespace="${namespace}"`),
  ];
}

/** The queries for the response times of a namespace's edges in milliseconds: incoming, outgoing; the first answer wins. */
export function latencyQueries(namespace: string, windowSeconds: number, quantile: number): string[] {
  const query = (selector: string) =>
    `round(histogram_quantile(${quantile}, sum(rate(istio_request_duration_milliseconds_bucket{${selector}}` +
    `[${windowSeconds}s])) by (le,${groupBy.join(",")})) > 0,0.001)`;
  return [
    query(`reporter="destination",destination_service_namespace="${namespace}"`),
    query(`reporter="source",source_workload_namespace="${namespace}"`),
  ];
}

import type { IPodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { clusterName } from "../controlPlane/commands";
import type { ClusterObject } from "./apply";
import { ingressGateway } from "./gateway";
import { panel } from "./panel";

type Relabeling = NonNullable<
  NonNullable<NonNullable<IPodMonitor["spec"]>["podMetricsEndpoints"]>[number]["metricRelabelings"]
>[number];

const panelHost = `${panel.name}.${panel.namespace}.svc.cluster.local`;

/** What Istio says of the hop gateway -> panel. */
const labels = {
  request_protocol: "http",
  source_cluster: clusterName,
  source_workload: ingressGateway.name,
  source_workload_namespace: ingressGateway.namespace,
  source_canonical_service: ingressGateway.name,
  source_canonical_revision: "latest",
  source_principal: "unknown",
  destination_cluster: clusterName,
  destination_workload: panel.name,
  destination_workload_namespace: panel.namespace,
  destination_canonical_service: panel.name,
  destination_canonical_revision: "latest",
  destination_service: panelHost,
  destination_service_name: panel.name,
  destination_service_namespace: panel.namespace,
  destination_principal: "unknown",
  connection_security_policy: "none",
} as const;

/**
 * Stands in for Istio's stats filter, which upstream Envoy lacks: the gateway's own counters of its cluster for the
 * panel, scraped once for each reporter and renamed to Istio's standard series. Counts, codes and times are Envoy's. It
 * does not prove: response flags, requests without an answer (Envoy counts no code for them), the gateway's view of
 * requests that it answers itself, and the panel's own view, since the destination's series copy the source's.
 */
export function istioStatsStandIn(): ClusterObject {
  const podMetricsEndpoints = (["source", "destination"] as const).map((reporter) => ({
    port: "http-envoy-prom",
    path: "/stats/prometheus",
    metricRelabelings: relabelings(reporter),
  }));
  const spec: NonNullable<IPodMonitor["spec"]> = {
    selector: { matchLabels: { istio: ingressGateway.labels.istio } },
    podMetricsEndpoints,
  };
  return {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "PodMonitor",
    metadata: {
      name: "istio-stats-stand-in",
      namespace: ingressGateway.namespace,
      labels: { release: "kube-prometheus-stack" },
    },
    spec,
  };
}

function relabelings(reporter: "source" | "destination"): Relabeling[] {
  const rename = (regex: string, replacement: string): Relabeling => ({
    sourceLabels: ["__name__"],
    regex,
    targetLabel: "__name__",
    replacement,
  });
  const cluster = `outbound\\|${panel.port}\\|\\|${panelHost.replaceAll(".", "\\.")};?`;
  return [
    {
      sourceLabels: ["__name__", "cluster_name"],
      regex: `envoy_cluster_upstream_rq(_time_(bucket|sum|count))?;${cluster}`,
      action: "keep",
    },
    // Envoy counts each answer twice: by its code, and by the code's class.
    { sourceLabels: ["response_code_class"], regex: ".+", action: "drop" },
    rename("envoy_cluster_upstream_rq", "istio_requests_total"),
    rename("envoy_cluster_upstream_rq_time_(.*)", "istio_request_duration_milliseconds_$1"),
    { sourceLabels: ["response_code"], regex: ".+", targetLabel: "response_flags", replacement: "-" },
    { regex: "cluster_name", action: "labeldrop" },
    ...Object.entries({ reporter, ...labels }).map(([targetLabel, replacement]) => ({
      targetLabel,
      replacement,
    })),
  ];
}

/**
 * What gets deployed, pinned in one place. The parts of the sandbox are pinned in `sandbox/parts/parts.json`.
 */
export const images = {
  /** Runs the exporter's bundle; nothing is built or pushed. Any Node >= 22 image works, by `exporter.nodeImage`. */
  node: "docker.io/library/node:24.21.0-bookworm-slim",
} as const;

/** API versions of the custom resources this program writes. */
export const apiVersions = {
  /** EnvoyFilter has no newer version. https://istio.io/latest/docs/reference/config/networking/envoy-filter/ */
  envoyFilter: "networking.istio.io/v1alpha3",
  destinationRule: "networking.istio.io/v1",
  peerAuthentication: "security.istio.io/v1",
  authorizationPolicy: "security.istio.io/v1",
  /** Of ServiceMonitor, PodMonitor and PrometheusRule. */
  monitoring: "monitoring.coreos.com/v1",
  /** Of GrafanaFolder and GrafanaDashboard. */
  grafana: "grafana.integreatly.org/v1beta1",
  sidecar: "networking.istio.io/v1",
  /** Of WorkloadGroup and WorkloadEntry. */
  workload: "networking.istio.io/v1",
} as const;

import type { MeshSettings } from "../../exporter/measure/meshSettings";

/** The settings that the program's defaults come to. */
export const meshSettings: MeshSettings = {
  sides: "auto",
  bothUpTo: 300,
  namespace: "edge-nodes",
  cluster: "Kubernetes",
  regionPrefix: "edge-",
  gateway: {
    namespace: "istio-system",
    workload: "istio-ingressgateway",
    canonicalService: "istio-ingressgateway",
    canonicalRevision: "latest",
    host: "istio-ingressgateway.istio-system.svc.cluster.local",
    serviceName: "unknown",
  },
  extraLabels: {},
  strangers: false,
  bytes: false,
};

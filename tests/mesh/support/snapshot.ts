import { KubernetesObjectApi, type KubeConfig } from "@kubernetes/client-node";
import { describeObject } from "../../../sandbox/cluster";

/** The kinds that vpsight makes or touches, and those it must leave alone. */
const kinds = [
  ["v1", "ConfigMap"],
  ["v1", "Secret"],
  ["v1", "Service"],
  ["v1", "ServiceAccount"],
  ["apps/v1", "Deployment"],
  ["policy/v1", "PodDisruptionBudget"],
  ["networking.k8s.io/v1", "NetworkPolicy"],
  ["networking.istio.io/v1", "Gateway"],
  ["networking.istio.io/v1", "ServiceEntry"],
  ["networking.istio.io/v1", "Sidecar"],
  ["networking.istio.io/v1", "VirtualService"],
  ["networking.istio.io/v1", "WorkloadEntry"],
  ["networking.istio.io/v1", "WorkloadGroup"],
  ["networking.istio.io/v1alpha3", "EnvoyFilter"],
  ["monitoring.coreos.com/v1", "Prometheus"],
  ["monitoring.coreos.com/v1", "ServiceMonitor"],
] as const;

/**
 * What somebody wrote into each object of these namespaces: metadata, spec and data. Left out is what the
 * cluster itself keeps about them (versions, times, owners of fields, status), and objects that a controller made.
 */
export async function snapshot(
  kubeConfig: KubeConfig,
  namespaces: readonly string[],
): Promise<Map<string, unknown>> {
  const api = KubernetesObjectApi.makeApiClient(kubeConfig);
  const found = new Map<string, unknown>();
  for (const namespace of namespaces) {
    for (const [apiVersion, kind] of kinds) {
      const { items } = await api.list(apiVersion, kind, namespace);
      for (const item of items) {
        if (item.metadata?.ownerReferences !== undefined) continue;
        const { name, labels, annotations } = item.metadata ?? {};
        const written: Record<string, unknown> = { ...item, kind };
        written["metadata"] = { name, namespace, labels, annotations: foreign(annotations) };
        delete written["status"];
        found.set(describeObject({ ...item, kind }), written);
      }
    }
  }
  return found;
}

/** Without the annotations in which controllers keep accounts: a Deployment's roll-outs, istiod's leases. */
function foreign(annotations: Readonly<Record<string, string>> = {}) {
  const kept = ["deployment.kubernetes.io/revision", "control-plane.alpha.kubernetes.io/leader"];
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !kept.includes(key)));
}

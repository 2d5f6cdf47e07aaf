import type { ConfigValues } from "../configSchema";
import type { MeshSettings } from "../exporter/measure/meshSettings";

/** What the exporter is told about Kiali: the stack's config, with the gateway's names where they follow from others. */
export function meshSettings({ kiali, gateway }: Pick<ConfigValues, "kiali" | "gateway">): MeshSettings {
  const { sides, bothUpTo, namespace, cluster, regionPrefix, strangers, bytes } = kiali;
  const {
    workload = gateway.service,
    canonicalService = workload,
    canonicalRevision,
    serviceName,
  } = kiali.gateway;
  return {
    ...{ sides, bothUpTo, namespace, cluster, regionPrefix, strangers, bytes },
    gateway: {
      namespace: gateway.namespace,
      host: `${gateway.service}.${gateway.namespace}.svc.cluster.local`,
      ...{ workload, canonicalService, canonicalRevision, serviceName },
    },
    extraLabels: kiali.queryScope,
  };
}

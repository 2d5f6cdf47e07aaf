import type { ConfigValues } from "./configSchema";
import type { Vps } from "./exporter/identify/inventory";

/** What can be wrong only between two keys, or between a key and the inventory; texts as in `configSchema.ts`. */
export function crossProblems(values: ConfigValues, vps: readonly Vps[]): string[] {
  if (!values.kiali.enabled) return [];
  return [...takenNamespace(values), ...unknownWorkloads(values), ...retiredCollisions(values, vps)];
}

/** Kiali would show what lives there as one with the VPSes. */
function takenNamespace({ kiali, namespace, gateway, monitoring, dashboards }: ConfigValues): string[] {
  const taken = {
    "namespace.name": namespace.name,
    "gateway.namespace": gateway.namespace,
    "monitoring.prometheusNamespace": monitoring.prometheusNamespace,
    "dashboards.namespace": dashboards.namespace,
  };
  const clashes = Object.entries(taken).filter(([, name]) => name === kiali.namespace);
  if (clashes.length === 0) return [];
  const keys = clashes.map(([key]) => key).join(", ");
  return [
    `kiali.namespace: must be an empty namespace of its own; got "${kiali.namespace}", which ${keys} names`,
  ];
}

/** What only the management plane lists is not known to the program. */
function unknownWorkloads({ kiali, fleet }: ConfigValues): string[] {
  if (!kiali.workloads || fleet.file !== undefined) return [];
  return [
    "kiali.workloads: must be false without fleet.file, which says what VPSes to make objects for; got true",
  ];
}

/** One component would delete what the other makes. */
function retiredCollisions({ kiali, retired }: ConfigValues, vps: readonly Vps[]): string[] {
  if (!kiali.workloads) return [];
  const made = new Set(vps.map(({ name }) => name));
  return retired.flatMap(({ kind, namespace, name }, index) => {
    const collides =
      (kind === "WorkloadGroup" || kind === "WorkloadEntry") &&
      namespace === kiali.namespace &&
      made.has(name);
    if (!collides) return [];
    return [
      `retired[${index}]: must be an object that kiali.workloads does not make; got ${kind} ${namespace}/${name}`,
    ];
  });
}

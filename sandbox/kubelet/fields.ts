import type { V1Container, V1Pod, V1ResourceFieldSelector } from "@kubernetes/client-node";

/** What a Pod may learn about itself by the downward API. */
export interface PodFacts {
  pod: V1Pod;
  podAddress: string;
  nodeAddress: string;
}

/** What the Node offers; a container without a limit sees it as its limit, as with a real kubelet. */
export const nodeCapacity = { cpu: "16", memory: "64Gi", "ephemeral-storage": "100Gi", pods: "500" } as const;

/**
 * The value of a downward API field path. Labels and annotations as a whole come in the file form (`key="value"` lines).
 * https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
 * @returns undefined for a path that is not known here.
 */
export function fieldValue(path: string, facts: PodFacts): string | undefined {
  const { metadata, spec } = facts.pod;
  const subscript = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (subscript) {
    const [, kind, key = ""] = subscript;
    return (kind === "labels" ? metadata?.labels : metadata?.annotations)?.[key] ?? "";
  }
  switch (path) {
    case "metadata.name":
      return metadata?.name ?? "";
    case "metadata.namespace":
      return metadata?.namespace ?? "";
    case "metadata.uid":
      return metadata?.uid ?? "";
    case "metadata.labels":
      return asLines(metadata?.labels);
    case "metadata.annotations":
      return asLines(metadata?.annotations);
    case "spec.nodeName":
      return spec?.nodeName ?? "";
    case "spec.serviceAccountName":
      return spec?.serviceAccountName ?? "default";
    case "status.podIP":
    case "status.podIPs":
      return facts.podAddress;
    case "status.hostIP":
    case "status.hostIPs":
      return facts.nodeAddress;
    default:
      return undefined;
  }
}

function asLines(map: Record<string, string> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}

/** `limits.cpu`, `requests.memory` and the like, divided by the divisor (default 1) and rounded up. */
export function resourceValue(selector: V1ResourceFieldSelector, facts: PodFacts, own?: V1Container): string {
  const named = [...(facts.pod.spec?.containers ?? []), ...(facts.pod.spec?.initContainers ?? [])].find(
    (container) => container.name === selector.containerName,
  );
  const resources = (selector.containerName ? named : own)?.resources;
  const [kind = "", resource = ""] = selector.resource.split(/\.(.*)/s);
  const capacity = Object.entries(nodeCapacity).find(([name]) => name === resource)?.[1] ?? "0";
  const quantity =
    kind === "limits"
      ? (resources?.limits?.[resource] ?? capacity)
      : (resources?.requests?.[resource] ?? resources?.limits?.[resource] ?? "0");
  const divisor = parseQuantity(
    selector.divisor === undefined || selector.divisor === "0" ? "1" : selector.divisor,
  );
  // Thousandths first, so that 100m / 1m is 100 and not 100.00000000000001 rounded up.
  return String(Math.ceil(Math.round((parseQuantity(quantity) / divisor) * 1e6) / 1e6));
}

const multipliers: Readonly<Record<string, number>> = {
  "": 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity ("100m", "64Mi", "1e3") as a number; NaN when it is none. */
export function parseQuantity(quantity: string): number {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(quantity);
  if (!match) return Number.NaN;
  return Number(match[1]) * (multipliers[match[2] ?? ""] ?? Number.NaN);
}

import type { V1EndpointSlice, V1Service } from "@kubernetes/client-node";
import type { Target } from "./types";

const proxyProtocolAnnotation = "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol";
/** Annotations that also touch PROXY protocol in the real controller, and that this stand-in leaves alone. */
const notUnderstood = [
  "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol-per-target-group",
  "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes",
];

/** What a Service asks of its load balancer. */
export interface ProxyProtocolWish {
  /** undefined: the annotation is invalid, and what is in force stays. */
  proxyProtocol: boolean | undefined;
  /** For people, one line each. */
  remarks: string[];
}

/**
 * Reads the annotations that the AWS Load Balancer Controller turns into `proxy_protocol_v2.enabled`. A value other
 * than "*" makes the real controller give up on the Service with an error, so that nothing changes:
 * https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/pkg/service/model_build_target_group.go
 */
export function proxyProtocolWish(service: V1Service): ProxyProtocolWish {
  const annotations = service.metadata?.annotations ?? {};
  const remarks = notUnderstood
    .filter((name) => annotations[name] !== undefined)
    .map(
      (name) => `annotation ${name} is not understood by the sandbox's load balancer and has no effect here`,
    );
  const value = annotations[proxyProtocolAnnotation];
  if (value === undefined) return { proxyProtocol: false, remarks };
  if (value === "*") return { proxyProtocol: true, remarks };
  remarks.push(`annotation ${proxyProtocolAnnotation}: only "*" is valid; got "${value}"; nothing changes`);
  return { proxyProtocol: undefined, remarks };
}

/** Ports a load balancer opens for the Service, ascending; UDP ports are left out. */
export function servicePorts(service: V1Service): number[] {
  const tcp = (service.spec?.ports ?? []).filter(({ protocol = "TCP" }) => protocol === "TCP");
  return tcp.map(({ port }) => port).toSorted((left, right) => left - right);
}

/** The ready endpoints of each Service port, as an NLB with `ip` targets would register them. */
export function readyTargets(service: V1Service, slices: readonly V1EndpointSlice[]): Target[] {
  const targets = new Map<string, Target>();
  for (const { name = "", port, protocol = "TCP" } of service.spec?.ports ?? []) {
    if (protocol !== "TCP") continue;
    for (const slice of slices) {
      const targetPort = slice.ports?.find((candidate) => (candidate.name ?? "") === name)?.port;
      if (targetPort === undefined) continue;
      for (const endpoint of slice.endpoints ?? []) {
        // A missing condition means ready: https://pkg.go.dev/k8s.io/api/discovery/v1#EndpointConditions
        if (endpoint.conditions?.ready === false) continue;
        for (const address of endpoint.addresses) {
          targets.set(`${port} ${address} ${targetPort}`, { port, address, targetPort });
        }
      }
    }
  }
  return [...targets.values()].toSorted(
    (left, right) => left.port - right.port || compare(left.address, right.address),
  );
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

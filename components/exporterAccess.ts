import type { types } from "@pulumi/kubernetes";
import type { IDestinationRule } from "@kubernetes-models/istio/networking.istio.io/v1beta1/DestinationRule";
import type { IAuthorizationPolicy } from "@kubernetes-models/istio/security.istio.io/v1/AuthorizationPolicy";
import type { IPeerAuthentication } from "@kubernetes-models/istio/security.istio.io/v1beta1/PeerAuthentication";
import type { Gateway } from "./gateway";

/**
 * Who may reach the exporter, beside the NetworkPolicy that is always there: what each mode adds to the pods and which
 * objects it needs, as pure functions. `docs/access.md` says which mode is for whom.
 */
export type ExporterAccess =
  /** The NetworkPolicy alone; the pods are outside the mesh. */
  | { mode: "network" }
  /** The pods have a sidecar, which takes mutual TLS from the gateway's service account only. */
  | {
      mode: "mesh";
      /** The gateway pods' service account. */
      gatewayServiceAccount: string;
      trustDomain: string;
      /** Where istiod runs: the sidecar must reach it. */
      controlPlaneNamespace: string;
      /** Revision of Istio that injects the sidecar; undefined for the default one. */
      revision?: string | undefined;
      /** Istio's CNI plug-in sets the sidecar's redirection up, instead of a privileged init container. */
      istioCni: boolean;
    }
  /** The exporter itself does mutual TLS; the pods are outside the mesh. */
  | {
      mode: "tls";
      /** Secret in the exporter's namespace: tls.crt, tls.key, ca.crt (the authority of the gateway's certificate). */
      secret: string;
      /** Secret in the gateway's namespace: tls.crt, tls.key, ca.crt (the authority of the exporter's certificate). */
      gatewaySecret: string;
      /** Names of which the client's certificate must carry one; empty: any certificate of the authority. */
      clientNames: string[];
    };

/** Labels of the exporter's namespace that depend on the mode. */
export function namespaceLabels(access: ExporterAccess): Record<string, string> {
  const restricted = { "pod-security.kubernetes.io/enforce": "restricted" };
  if (access.mode !== "mesh") return { ...restricted, "istio-injection": "disabled" };
  // Injection is asked for by the pods' label; a label here would decide for them. The init container that Istio adds
  // needs NET_ADMIN, which no level but "privileged" admits: https://istio.io/latest/docs/setup/additional-setup/cni/
  return access.istioCni ? restricted : { "pod-security.kubernetes.io/enforce": "privileged" };
}

export function podLabels(access: ExporterAccess): Record<string, string> {
  if (access.mode !== "mesh") return { "sidecar.istio.io/inject": "false" };
  return {
    "sidecar.istio.io/inject": "true",
    ...(access.revision === undefined ? {} : { "istio.io/rev": access.revision }),
  };
}

/**
 * @param metricsPort stays outside the sidecar: Prometheus has no certificate of the mesh, and must be able to scrape
 * after the sidecar has ended. The NetworkPolicy keeps others from it.
 * @param drainSeconds how long a pod that was told to end goes on.
 */
export function podAnnotations(
  access: ExporterAccess,
  { metricsPort, drainSeconds }: { metricsPort: number; drainSeconds: number },
): Record<string, string> {
  if (access.mode !== "mesh") return {};
  return {
    "traffic.sidecar.istio.io/excludeInboundPorts": String(metricsPort),
    // Both would have the sidecar's agent answer in the exporter's place, for a port that the sidecar leaves alone.
    "sidecar.istio.io/rewriteAppHTTPProbers": "false",
    "prometheus.istio.io/merge-metrics": "false",
    "proxy.istio.io/config": JSON.stringify({
      // Nothing the exporter asks for at its start (an inventory over HTTP) may fail for want of a proxy.
      holdApplicationUntilProxyStarts: true,
      // The sidecar is told to end together with the exporter, and by default is gone 5 s later, with the calls that the
      // exporter still finishes. A native sidecar ends after the exporter anyway.
      // https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig-termination_drain_duration
      terminationDrainDuration: `${drainSeconds}s`,
    }),
  };
}

/** What the sidecar needs to reach: istiod, and DNS to find it. */
export function meshEgress(access: ExporterAccess): types.input.networking.v1.NetworkPolicyEgressRule[] {
  if (access.mode !== "mesh") return [];
  const inNamespace = (name: string) => ({
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
  });
  return [
    {
      to: [inNamespace("kube-system")],
      ports: [
        { port: 53, protocol: "UDP" },
        { port: 53, protocol: "TCP" },
      ],
    },
    { to: [inNamespace(access.controlPlaneNamespace)], ports: [{ port: 15012, protocol: "TCP" }] },
  ];
}

const tlsDirectory = "/etc/vpsight/tls";

/** Flags, volume and mount of the exporter's own TLS; empty lists in the other modes. */
export function tlsParts(access: ExporterAccess): {
  flags: string[];
  mounts: types.input.core.v1.VolumeMount[];
  volumes: types.input.core.v1.Volume[];
} {
  if (access.mode !== "tls") return { flags: [], mounts: [], volumes: [] };
  const { secret, clientNames } = access;
  return {
    flags: [
      `--otlp-tls-certificate-file=${tlsDirectory}/tls.crt`,
      `--otlp-tls-key-file=${tlsDirectory}/tls.key`,
      `--otlp-tls-client-ca-file=${tlsDirectory}/ca.crt`,
      ...(clientNames.length === 0 ? [] : [`--otlp-tls-client-names=${clientNames.join(",")}`]),
    ],
    mounts: [{ name: "tls", mountPath: tlsDirectory, readOnly: true }],
    volumes: [{ name: "tls", secret: { secretName: secret } }],
  };
}

/** Plain text is refused on every port that the sidecar takes. */
export function peerAuthenticationSpec(
  podSelector: Record<string, string>,
): NonNullable<IPeerAuthentication["spec"]> {
  return { selector: { matchLabels: podSelector }, mtls: { mode: "STRICT" } };
}

/** An ALLOW policy refuses whatever none of its rules names. */
export function authorizationPolicySpec(
  access: Extract<ExporterAccess, { mode: "mesh" }>,
  { gateway, podSelector, port }: { gateway: Gateway; podSelector: Record<string, string>; port: number },
): NonNullable<IAuthorizationPolicy["spec"]> {
  const principal = `${access.trustDomain}/ns/${gateway.namespace}/sa/${access.gatewayServiceAccount}`;
  return {
    selector: { matchLabels: podSelector },
    action: "ALLOW",
    rules: [
      {
        from: [{ source: { principals: [principal] } }],
        to: [{ operation: { ports: [String(port)] } }],
      },
    ],
  };
}

/**
 * Has the gateway, and nobody else, speak mutual TLS to the exporter. It stands in the gateway's namespace and is
 * exported to no other: elsewhere the Secret could not be read, and in Istio's root namespace it would reach everybody.
 */
export function destinationRuleSpec(
  access: Extract<ExporterAccess, { mode: "tls" }>,
  { gateway, receiver }: { gateway: Gateway; receiver: { host: string; port: number } },
): NonNullable<IDestinationRule["spec"]> {
  return {
    host: receiver.host,
    exportTo: ["."],
    workloadSelector: { matchLabels: gateway.selector },
    trafficPolicy: {
      portLevelSettings: [
        {
          port: { number: receiver.port },
          tls: {
            mode: "MUTUAL",
            credentialName: access.gatewaySecret,
            sni: receiver.host,
            // Any certificate of the authority would do without it.
            subjectAltNames: [receiver.host],
          },
        },
      ],
    },
  };
}

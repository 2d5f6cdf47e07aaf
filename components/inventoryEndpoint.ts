import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

/** What the exporter's pods need to ask the management plane for the inventory, as pure functions. */

export interface InventoryEndpoint {
  /** https, or http with `allowHttp`. */
  url: string;
  allowHttp: boolean;
  /** Bearer token; it goes into a Secret and nowhere else. Default: none is sent, or that of `tokenSecret`. */
  token?: string | undefined;
  /** A Secret of the same namespace that is there already. */
  tokenSecret?: { name: string; key: string } | undefined;
  /** PEM of the authorities that are believed. Default: those Node brings. */
  authorities?: string | undefined;
  /** Pause between two requests. */
  intervalSeconds: number;
  /** The port that pods may open for it. Default: the URL's. */
  egressPort?: number | undefined;
}

interface Metadata {
  name: string;
  namespace: string;
  labels: Record<string, string>;
}

const paths = {
  token: "/etc/vpsight/inventory-token",
  authorities: "/etc/vpsight/inventory-ca",
  state: "/var/lib/vpsight",
} as const;
const files = { token: "token", authorities: "ca.crt" } as const;
const dnsPort = 53;

const tokenSecretName = (exporter: string) => `${exporter}-inventory-token`;
const authoritiesName = (exporter: string) => `${exporter}-inventory-ca`;
const hasToken = ({ token, tokenSecret }: InventoryEndpoint) =>
  token !== undefined || tokenSecret !== undefined;

/** @param metadata of the exporter's objects. */
export function tokenSecret(metadata: Metadata, token: string): types.input.core.v1.Secret {
  return {
    metadata: { ...metadata, name: tokenSecretName(metadata.name) },
    stringData: { [files.token]: pulumi.secret(token) },
  };
}

/** @param metadata of the exporter's objects. */
export function authoritiesConfigMap(metadata: Metadata, authorities: string): types.input.core.v1.ConfigMap {
  return {
    metadata: { ...metadata, name: authoritiesName(metadata.name) },
    data: { [files.authorities]: authorities },
  };
}

/** Flags of the exporter; see `exporter/inventoryOptions.ts`. */
export function flags(endpoint: InventoryEndpoint | undefined): string[] {
  if (endpoint === undefined) return [];
  return [
    `--inventory-url=${endpoint.url}`,
    ...(endpoint.allowHttp ? ["--inventory-allow-http=true"] : []),
    ...(hasToken(endpoint) ? [`--inventory-token-file=${paths.token}/${files.token}`] : []),
    ...(endpoint.authorities === undefined
      ? []
      : [`--inventory-ca-file=${paths.authorities}/${files.authorities}`]),
    `--inventory-interval-seconds=${endpoint.intervalSeconds}`,
    `--state-directory=${paths.state}`,
  ];
}

/**
 * The last good inventory is kept in an emptyDir: it outlives a container, and goes with the pod.
 * @param exporter the name of the exporter's objects.
 */
export function volumes(
  exporter: string,
  endpoint: InventoryEndpoint | undefined,
): types.input.core.v1.Volume[] {
  if (endpoint === undefined) return [];
  const { name, key } = endpoint.tokenSecret ?? { name: tokenSecretName(exporter), key: files.token };
  return [
    ...(hasToken(endpoint)
      ? [
          {
            name: "inventory-token",
            secret: { secretName: name, items: [{ key, path: files.token }] },
          },
        ]
      : []),
    ...(endpoint.authorities === undefined
      ? []
      : [{ name: "inventory-ca", configMap: { name: authoritiesName(exporter) } }]),
    { name: "state", emptyDir: { sizeLimit: "64Mi" } },
  ];
}

export function volumeMounts(endpoint: InventoryEndpoint | undefined): types.input.core.v1.VolumeMount[] {
  if (endpoint === undefined) return [];
  return [
    ...(hasToken(endpoint) ? [{ name: "inventory-token", mountPath: paths.token, readOnly: true }] : []),
    ...(endpoint.authorities === undefined
      ? []
      : [{ name: "inventory-ca", mountPath: paths.authorities, readOnly: true }]),
    { name: "state", mountPath: paths.state },
  ];
}

/** Names can be looked up and the endpoint's port opened; a NetworkPolicy knows no host names, so on any address. */
export function egress(
  endpoint: InventoryEndpoint | undefined,
): types.input.networking.v1.NetworkPolicyEgressRule[] {
  if (endpoint === undefined) return [];
  const { port, protocol } = new URL(endpoint.url);
  const usual = protocol === "https:" ? 443 : 80;
  return [
    { ports: ["UDP", "TCP"].map((transport) => ({ port: dnsPort, protocol: transport })) },
    { ports: [{ port: endpoint.egressPort ?? (port === "" ? usual : Number(port)), protocol: "TCP" }] },
  ];
}

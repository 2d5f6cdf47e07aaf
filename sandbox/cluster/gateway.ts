import type { V1Deployment, V1EnvVar } from "@kubernetes/client-node";
import { clusterName, controlPlaneAddresses } from "../controlPlane/commands";
import { gatewayImage, type EnvoyVersion } from "./images";
import { panel } from "./panel";

/** The gateway's names in the cluster. */
export const ingressGateway = {
  namespace: "istio-system",
  name: "istio-ingressgateway",
  labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
} as const;

/** How many gateways, and with which Envoy. */
export interface GatewayOptions {
  /** Default 1. */
  readonly replicas?: number;
  /** Default 1.40. */
  readonly envoy?: EnvoyVersion;
}

// Normally written by the installer and the injection webhook. The stats prefixes are what
// vpsight's users need in production too: Istio's default matcher drops both.
const proxyConfig = {
  discoveryAddress: controlPlaneAddresses.istiodSecure,
  concurrency: 2,
  proxyStatsMatcher: {
    inclusionPrefixes: [
      "proxy_proto",
      "access_logs",
      // For the stand-in of istio.stats alone (istio.yaml).
      `cluster.outbound|${panel.port}||${panel.name}.`,
    ],
  },
};

/** The gateway's Deployment, as the injection webhook (which the sandbox has not) would complete it. */
export function gatewayDeployment(options: GatewayOptions = {}): V1Deployment {
  const { namespace, name, labels } = ingressGateway;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name, labels: { ...labels, "app.kubernetes.io/managed-by": "Helm" } },
    spec: {
      replicas: options.replicas ?? 1,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels: {
            ...labels,
            "service.istio.io/canonical-name": name,
            "service.istio.io/canonical-revision": "latest",
            "sidecar.istio.io/inject": "false",
          },
        },
        spec: {
          serviceAccountName: name,
          terminationGracePeriodSeconds: 30,
          securityContext: { runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true, fsGroup: 1337 },
          containers: [
            {
              name: "istio-proxy",
              image: gatewayImage(options.envoy),
              args: [
                "proxy",
                "router",
                "--domain",
                "$(POD_NAMESPACE).svc.cluster.local",
                "--proxyLogLevel=warning",
              ],
              ports: [
                { containerPort: 15021, name: "status-port" },
                { containerPort: 8080, name: "http2" },
                { containerPort: 8443, name: "https" },
                { containerPort: 15090, name: "http-envoy-prom" },
              ],
              env: environment(),
              readinessProbe: {
                httpGet: { path: "/healthz/ready", port: 15021 },
                initialDelaySeconds: 1,
                periodSeconds: 1,
                timeoutSeconds: 3,
                failureThreshold: 30,
              },
              securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
              volumeMounts: [
                { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
                { name: "credential-socket", mountPath: "/var/run/secrets/credential-uds" },
                { name: "workload-certs", mountPath: "/var/run/secrets/workload-spiffe-credentials" },
                { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
                { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
                { name: "istio-data", mountPath: "/var/lib/istio/data" },
                { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
                { name: "istio-podinfo", mountPath: "/etc/istio/pod" },
              ],
            },
          ],
          volumes: [
            { name: "workload-socket", emptyDir: {} },
            { name: "credential-socket", emptyDir: {} },
            { name: "workload-certs", emptyDir: {} },
            { name: "istio-data", emptyDir: {} },
            { name: "istio-envoy", emptyDir: { medium: "Memory" } },
            { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
            {
              name: "istio-podinfo",
              downwardAPI: {
                items: [
                  { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
                  { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
                ],
              },
            },
            {
              name: "istio-token",
              projected: {
                sources: [
                  {
                    serviceAccountToken: {
                      path: "istio-token",
                      expirationSeconds: 43200,
                      audience: "istio-ca",
                    },
                  },
                ],
              },
            },
          ],
        },
      },
    },
  };
}

function environment(): V1EnvVar[] {
  const field = (name: string, fieldPath: string): V1EnvVar => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  const { namespace, name, labels } = ingressGateway;
  return [
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("HOST_IP", "status.hostIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    { name: "PILOT_CERT_PROVIDER", value: "istiod" },
    { name: "CA_ADDR", value: controlPlaneAddresses.istiodSecure },
    // istiod is reached by its address here; its certificate says this name.
    { name: "ISTIOD_SAN", value: "istiod.istio-system.svc" },
    { name: "TRUST_DOMAIN", value: "cluster.local" },
    { name: "PROXY_CONFIG", value: JSON.stringify(proxyConfig) },
    { name: "ISTIO_META_CLUSTER_ID", value: clusterName },
    { name: "ISTIO_META_MESH_ID", value: "cluster.local" },
    { name: "ISTIO_META_WORKLOAD_NAME", value: name },
    {
      name: "ISTIO_META_OWNER",
      value: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${name}`,
    },
    { name: "ISTIO_METAJSON_LABELS", value: JSON.stringify(labels) },
  ];
}

import { createHash } from "node:crypto";
import type { types } from "@pulumi/kubernetes";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import * as access from "./exporterAccess";
import { nodeFlags } from "../exporter/nodeFlags";
import { managedLabels } from "./gateway";
import * as endpoint from "./inventoryEndpoint";
import type { VpsExporterArgs } from "./vpsExporter";

/** The Kubernetes objects of the exporter, as pure functions of its arguments. */

export const ports = { otlp: 4317, metrics: 9464 } as const;

/** The metrics port's name in the Service. */
export const metricsPort = "http-metrics";

const paths = { bundle: "/opt/vpsight", inventory: "/etc/vpsight/inventory" } as const;
const files = { bundle: "exporter.cjs", inventory: "fleet.yaml" } as const;

/** A ConfigMap holds 1 MiB in all (https://kubernetes.io/docs/concepts/configuration/configmap/); names and keys take some. */
export const configMapBytes = 1_000_000;

/** How long istiod and the gateway may take to leave a pod alone; on idle machines it is well under a second. */
export const withdrawalSeconds = 5;

/** A user that exists in no image and owns nothing. */
const nobody = 65532;

type Named = Pick<VpsExporterArgs, "objectName" | "namespace">;

const fullName = (args: Named) => `${args.objectName}-exporter`;

/** The name by which the gateway's Envoy knows the Service. */
export const serviceHost = (args: Named) => `${fullName(args)}.${args.namespace}.svc.cluster.local`;

/** Of the Service that only Prometheus uses. */
const metricsLabel = { "vpsight/metrics": "true" } as const;

export const selectorLabels = (args: Pick<Named, "objectName">) => ({
  "app.kubernetes.io/name": "vpsight-exporter",
  "app.kubernetes.io/instance": args.objectName,
});

/** Of the Service that Prometheus reads the exporter through. */
export const metricsServiceLabels = (args: Pick<Named, "objectName">) => ({
  ...selectorLabels(args),
  ...metricsLabel,
});

export const labels = (args: Named) => ({ ...managedLabels, ...selectorLabels(args) });

export const metadata = (args: Named) => ({
  name: fullName(args),
  namespace: args.namespace,
  labels: labels(args),
});

export const namespaceMetadata = (args: VpsExporterArgs): types.input.meta.v1.ObjectMeta => ({
  name: args.namespace,
  // Everything of the exporter's own passes the strictest of Kubernetes' pod security levels.
  labels: { ...managedLabels, ...access.namespaceLabels(args.access) },
});

/** @throws Error when the inventory is too large for a ConfigMap. */
export function inventoryConfigMap(args: Named, inventory: string): types.input.core.v1.ConfigMap {
  return configMap(args, "inventory", files.inventory, inventory);
}

/** @throws Error when the bundle is too large for a ConfigMap. */
export function bundleConfigMap(args: VpsExporterArgs): types.input.core.v1.ConfigMap {
  return configMap(args, "bundle", files.bundle, args.bundle);
}

function configMap(args: Named, suffix: string, file: string, text: string) {
  const bytes = Buffer.byteLength(text);
  if (bytes > configMapBytes) {
    throw new Error(
      `exporter ${suffix}: must be at most ${configMapBytes} bytes, what a ConfigMap can hold; got ${bytes}.`,
    );
  }
  return { metadata: { ...metadata(args), name: `${fullName(args)}-${suffix}` }, data: { [file]: text } };
}

export function service(args: VpsExporterArgs): types.input.core.v1.Service {
  return {
    metadata: {
      ...metadata(args),
      // A Service takes over no traffic before its pods are there; nothing to wait for.
      annotations: { "pulumi.com/skipAwait": "true" },
    },
    spec: {
      selector: selectorLabels(args),
      ports: [
        // Istio takes the protocol from the name's prefix; without it Envoy would speak HTTP/1.1 to a gRPC server.
        { name: "grpc-otlp", port: ports.otlp, targetPort: "grpc-otlp" },
      ],
    },
  };
}

/**
 * For Prometheus alone. It names pods that are not ready, too, and so those that are ending: they hold counts
 * that nobody has read. Prometheus finds targets by Endpoints unless told otherwise, which leave an ending pod
 * out at once (EndpointSlices keep it). On the Service above the setting would have the gateway send to such pods.
 * https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceDiscoveryRole
 */
export function metricsService(args: VpsExporterArgs): types.input.core.v1.Service {
  return {
    metadata: {
      ...metadata(args),
      name: `${fullName(args)}-metrics`,
      labels: { ...labels(args), ...metricsLabel },
      annotations: { "pulumi.com/skipAwait": "true" },
    },
    spec: {
      clusterIP: "None",
      publishNotReadyAddresses: true,
      selector: selectorLabels(args),
      ports: [{ name: metricsPort, port: ports.metrics, targetPort: metricsPort }],
    },
  };
}

export function deployment(args: VpsExporterArgs): types.input.apps.v1.Deployment {
  return {
    metadata: metadata(args),
    spec: {
      replicas: args.replicas,
      selector: { matchLabels: selectorLabels(args) },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels: { ...labels(args), ...access.podLabels(args.access) },
          annotations: podAnnotations(args),
        },
        spec: podSpec(args),
      },
    },
  };
}

function podAnnotations(args: VpsExporterArgs): Record<string, string> {
  return {
    // A changed bundle must start new pods; a changed inventory must not, it is watched.
    ...(args.image === undefined
      ? { "vpsight/bundle-sha256": createHash("sha256").update(args.bundle).digest("hex") }
      : {}),
    ...(args.monitoring.discovery === "annotations"
      ? {
          "prometheus.io/scrape": "true",
          "prometheus.io/port": String(ports.metrics),
          "prometheus.io/path": "/metrics",
        }
      : {}),
    ...access.podAnnotations(args.access, { metricsPort: ports.metrics, drainSeconds: args.drainSeconds }),
  };
}

function podSpec(args: VpsExporterArgs): types.input.core.v1.PodSpec {
  const ownImage = args.image !== undefined;
  const inventoryFile = args.inventory !== undefined;
  const tls = access.tlsParts(args.access);
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: nobody,
      runAsGroup: nobody,
      seccompProfile: { type: "RuntimeDefault" },
    },
    topologySpreadConstraints: ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map(
      (topologyKey) => ({
        topologyKey,
        maxSkew: 1,
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: selectorLabels(args) },
      }),
    ),
    // Time to be forgotten by the gateway, to finish what came, to be scraped once more, and to end.
    terminationGracePeriodSeconds: withdrawalSeconds + args.drainSeconds + 15,
    containers: [
      {
        name: "exporter",
        image: args.image ?? args.nodeImage,
        ...(ownImage ? {} : { command: ["node", ...nodeFlags, `${paths.bundle}/${files.bundle}`] }),
        args: [
          ...(inventoryFile ? [`--inventory-file=${paths.inventory}/${files.inventory}`] : []),
          ...endpoint.flags(args.inventoryEndpoint),
          `--drain-seconds=${args.drainSeconds}`,
          `--status-addresses=${args.statusAddresses ? "on" : "off"}`,
          ...(args.mesh === undefined ? [] : [`--mesh=${JSON.stringify(args.mesh)}`]),
          ...tls.flags,
        ],
        // A pod that ends leaves its Service at once, and a moment later the gateway knows: until then it must take what
        // comes, since Envoy gives up a batch that is refused on a connection which is open.
        lifecycle: { preStop: { sleep: { seconds: withdrawalSeconds } } },
        ports: [
          { name: "grpc-otlp", containerPort: ports.otlp },
          { name: metricsPort, containerPort: ports.metrics },
        ],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
        resources: {
          requests: { cpu: args.resources.cpuRequest, memory: args.resources.memoryRequest },
          limits: { memory: args.resources.memoryLimit },
        },
        startupProbe: {
          httpGet: { path: "/healthz", port: metricsPort },
          periodSeconds: 1,
          failureThreshold: 60,
        },
        readinessProbe: {
          httpGet: { path: "/readyz", port: metricsPort },
          periodSeconds: 2,
          failureThreshold: 1,
        },
        livenessProbe: {
          httpGet: { path: "/healthz", port: metricsPort },
          periodSeconds: 10,
          timeoutSeconds: 5,
        },
        volumeMounts: [
          ...(inventoryFile ? [{ name: "inventory", mountPath: paths.inventory, readOnly: true }] : []),
          ...endpoint.volumeMounts(args.inventoryEndpoint),
          ...(ownImage ? [] : [{ name: "bundle", mountPath: paths.bundle, readOnly: true }]),
          ...tls.mounts,
        ],
      },
    ],
    volumes: [
      ...(inventoryFile ? [{ name: "inventory", configMap: { name: `${fullName(args)}-inventory` } }] : []),
      ...endpoint.volumes(fullName(args), args.inventoryEndpoint),
      ...(ownImage ? [] : [{ name: "bundle", configMap: { name: `${fullName(args)}-bundle` } }]),
      ...tls.volumes,
    ],
  };
}

export function disruptionBudget(args: VpsExporterArgs): types.input.policy.v1.PodDisruptionBudget {
  return {
    metadata: metadata(args),
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorLabels(args) } },
  };
}

/**
 * In: records from the gateway's pods, scrapes from Prometheus' pods. Out: what the inventory's endpoint and the mode of
 * access need. The kubelet's probes come from the node, which a NetworkPolicy cannot keep out:
 * https://kubernetes.io/docs/concepts/services-networking/network-policies/
 */
export function networkPolicy(args: VpsExporterArgs): types.input.networking.v1.NetworkPolicy {
  const namespaceNamed = (name: string) => ({ matchLabels: { "kubernetes.io/metadata.name": name } });
  return {
    metadata: metadata(args),
    spec: {
      podSelector: { matchLabels: selectorLabels(args) },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        {
          from: [
            {
              namespaceSelector: namespaceNamed(args.gateway.namespace),
              podSelector: { matchLabels: args.gateway.selector },
            },
          ],
          ports: [{ port: ports.otlp, protocol: "TCP" }],
        },
        {
          from: [
            {
              namespaceSelector: namespaceNamed(args.monitoring.prometheusNamespace),
              podSelector: { matchLabels: args.monitoring.prometheusSelector },
            },
          ],
          ports: [{ port: ports.metrics, protocol: "TCP" }],
        },
      ],
      egress: [...endpoint.egress(args.inventoryEndpoint), ...access.meshEgress(args.access)],
    },
  };
}

export function serviceMonitorSpec(args: VpsExporterArgs): NonNullable<IServiceMonitor["spec"]> {
  return {
    selector: { matchLabels: metricsServiceLabels(args) },
    // The name of the job, rather than the Service's.
    jobLabel: "app.kubernetes.io/name",
    endpoints: [
      {
        port: metricsPort,
        path: "/metrics",
        interval: args.monitoring.scrapeInterval,
        // The operator gives every target a label `endpoint` (the port's name), which would push the metrics' own
        // aside to `exported_endpoint`.
        honorLabels: true,
      },
    ],
  };
}

import { createHash } from "node:crypto";
import type { types } from "@pulumi/kubernetes";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import * as access from "./exporterAccess";
import { managedLabels } from "./gateway";
import type { VpsExporterArgs } from "./vpsExporter";

/** The Kubernetes objects of the exporter, as pure functions of its arguments. */

export const ports = { otlp: 4317, metrics: 9464 } as const;

const paths = { bundle: "/opt/vpsight", inventory: "/etc/vpsight/inventory" } as const;
const files = { bundle: "exporter.cjs", inventory: "fleet.yaml" } as const;

/** A ConfigMap holds 1 MiB in all (https://kubernetes.io/docs/concepts/configuration/configmap/); names and keys take some. */
export const configMapBytes = 1_000_000;

/** A user that exists in no image and owns nothing. */
const nobody = 65532;

type Named = Pick<VpsExporterArgs, "objectName" | "namespace">;

const fullName = (args: Named) => `${args.objectName}-exporter`;

/** The name by which the gateway's Envoy knows the Service. */
export const serviceHost = (args: Named) => `${fullName(args)}.${args.namespace}.svc.cluster.local`;

export const selectorLabels = (args: Named) => ({
  "app.kubernetes.io/name": "vpsight-exporter",
  "app.kubernetes.io/instance": args.objectName,
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
export function inventoryConfigMap(args: VpsExporterArgs): types.input.core.v1.ConfigMap {
  return configMap(args, "inventory", files.inventory, args.inventory);
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
        { name: "http-metrics", port: ports.metrics, targetPort: "http-metrics" },
      ],
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
    // Time to finish what came, to be scraped once more, and to end.
    terminationGracePeriodSeconds: args.drainSeconds + 15,
    containers: [
      {
        name: "exporter",
        image: args.image ?? args.nodeImage,
        ...(ownImage ? {} : { command: ["node", `${paths.bundle}/${files.bundle}`] }),
        args: [
          `--inventory-file=${paths.inventory}/${files.inventory}`,
          `--drain-seconds=${args.drainSeconds}`,
          ...tls.flags,
        ],
        ports: [
          { name: "grpc-otlp", containerPort: ports.otlp },
          { name: "http-metrics", containerPort: ports.metrics },
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
          httpGet: { path: "/healthz", port: "http-metrics" },
          periodSeconds: 1,
          failureThreshold: 60,
        },
        readinessProbe: {
          httpGet: { path: "/readyz", port: "http-metrics" },
          periodSeconds: 2,
          failureThreshold: 1,
        },
        livenessProbe: {
          httpGet: { path: "/healthz", port: "http-metrics" },
          periodSeconds: 10,
          timeoutSeconds: 5,
        },
        volumeMounts: [
          { name: "inventory", mountPath: paths.inventory, readOnly: true },
          ...(ownImage ? [] : [{ name: "bundle", mountPath: paths.bundle, readOnly: true }]),
          ...tls.mounts,
        ],
      },
    ],
    volumes: [
      { name: "inventory", configMap: { name: `${fullName(args)}-inventory` } },
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
 * In: records from the gateway's pods, scrapes from Prometheus' pods. Out: only what the mode of access needs. The
 * kubelet's probes come from the node, which a NetworkPolicy cannot keep out:
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
      egress: access.meshEgress(args.access),
    },
  };
}

export function serviceMonitorSpec(args: VpsExporterArgs): NonNullable<IServiceMonitor["spec"]> {
  return {
    selector: { matchLabels: selectorLabels(args) },
    endpoints: [
      {
        port: "http-metrics",
        path: "/metrics",
        interval: args.monitoring.scrapeInterval,
        // The operator gives every target a label `endpoint` (the port's name), which would push the metrics' own
        // aside to `exported_endpoint`.
        honorLabels: true,
      },
    ],
  };
}

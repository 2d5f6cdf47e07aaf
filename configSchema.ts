import { z } from "zod";
import { images } from "./versions";

/**
 * The shape of a stack's config. Every `error` text ends the sentence "must be …"; `config.ts` adds the
 * property, the value and where to fix it. Defaults stand here and nowhere else; `Pulumi.yaml` describes
 * the same keys for people.
 */

/** A map with fixed keys: any other key is refused, with the known ones listed. */
function section<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `known here: ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : "a map") });
}

const dnsLabel = z
  .string({ error: "a DNS label such as vpsight" })
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, { error: "a DNS label such as vpsight" });
const image = z
  .string({ error: "an image reference such as docker.io/library/node:24" })
  .regex(/^[^\s]+[:@][^\s/]+$/, {
    error: "an image reference with a tag or digest, such as docker.io/library/node:24",
  });
const labels = z.record(z.string(), z.string({ error: "a string" }), { error: "a map of labels" });
const flag = z.boolean({ error: "true or false" });
const integer = (least: number, most: number) => {
  const error = `an integer from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};
const cpu = z
  .string({ error: "a CPU quantity such as 250m" })
  .regex(/^\d+m?$/, { error: "a CPU quantity such as 250m" });
const memory = z
  .string({ error: "a memory quantity such as 256Mi" })
  .regex(/^\d+(Ki|Mi|Gi)$/, { error: "a memory quantity such as 256Mi" });
const duration = z
  .string({ error: "a duration such as 15s" })
  .regex(/^[1-9]\d*(ms|s|m)$/, { error: "a duration such as 15s" });
/** As protobuf's JSON form has it, which knows seconds only. */
const seconds = z
  .string({ error: "a duration in seconds such as 1s or 0.5s" })
  .regex(/^\d+(\.\d{1,9})?s$/, { error: "a duration in seconds such as 1s or 0.5s" });
const pathPrefix = z
  .string({ error: "a path prefix that starts with /" })
  .regex(/^\/[^?#\s]*$/, { error: "a path prefix that starts with / and has no query string" });

/** How far the PROXY-protocol cut-over has gone. */
export const stages = ["off", "accept", "send", "enforce"] as const;
export type Stage = (typeof stages)[number];

/** What the abandoned WorkloadEntry attempt consists of; nothing of another kind is ever deleted. */
export const retirableKinds = {
  ServiceEntry: "networking.istio.io/v1",
  WorkloadGroup: "networking.istio.io/v1",
  WorkloadEntry: "networking.istio.io/v1",
  ServiceAccount: "v1",
} as const;

const kindNames = Object.keys(retirableKinds).join(", ");

const loadBalancer = z.enum(["controller"], {
  error: (issue) =>
    issue.input === "in-tree"
      ? 'controller: the in-tree load balancer ignores the PROXY-protocol annotation silently, so stage "send" would never come true'
      : '"controller" (the AWS Load Balancer Controller)',
});

export const configSchema = section({
  /** The cluster; both left out means the ambient kubeconfig and its current context. */
  cluster: section({
    /** Path to a kubeconfig file. Default: `KUBECONFIG`, else `~/.kube/config`. */
    kubeconfig: z.string({ error: "a path to a kubeconfig file" }).optional(),
    /** A context of it. Default: its current context. */
    context: z.string({ error: "the name of a kubeconfig context" }).optional(),
  }).prefault({}),

  /** Where vpsight's own objects live. */
  namespace: section({
    /** Default: vpsight. */
    name: dnsLabel.default("vpsight"),
    /** Make the namespace, or use one that stands already. Default: true. */
    create: flag.default(true),
  }).prefault({}),

  /** The ingress gateway in front of the application. */
  gateway: section({
    /** Default: istio-system. */
    namespace: dnsLabel.default("istio-system"),
    /** The Service that the NLB belongs to. Default: istio-ingressgateway. */
    service: dnsLabel.default("istio-ingressgateway"),
    /** Labels of the gateway's pods. Default: istio: ingressgateway. */
    selector: labels.default({ istio: "ingressgateway" }),
  }).prefault({}),

  /** The inventory of VPSes. */
  fleet: section({
    /** The inventory file, relative to Pulumi.yaml, such as fleet/prod.yaml. Required. */
    file: z
      .string({ error: "a path such as fleet/prod.yaml" })
      .min(1, { error: "a path such as fleet/prod.yaml" }),
  }),

  /** Both halves of the PROXY-protocol cut-over. */
  proxyProtocol: section({
    /** Default: off. Go up and down one stage at a time. */
    stage: z.enum(stages, { error: `one of ${stages.join(", ")}` }).default("off"),
    /** Who owns the NLB. Default: controller. */
    loadBalancer: loadBalancer.default("controller"),
  }).prefault({}),

  /** Which X-Forwarded-For entries are believed. */
  clientAddress: section({
    /** Proxies in front of the gateway that append to X-Forwarded-For. Behind an NLB: 0, the default. */
    trustedHops: integer(0, 10).default(0),
    /** With 0 hops: drop the X-Forwarded-For that the client sent (`remove`, default), or pass it on (`keep`). */
    clientForwardedFor: z.enum(["remove", "keep"], { error: "remove or keep" }).default("remove"),
  }).prefault({}),

  /** What the gateway logs, and how it ships it. */
  accessLog: section({
    /** Requests outside these paths are not logged. Default: Xboard's server APIs. */
    pathPrefixes: z
      .array(pathPrefix, { error: "a list of path prefixes" })
      .min(1, { error: "a list of at least one path prefix" })
      .default(["/api/v1/server/", "/api/v2/server/"]),
    /** Also write JSON lines to the gateway's stdout. Default: true. */
    stdout: flag.default(true),
    /** A batch is sent at this size; a larger one costs the gateway less per record. Default: 65536. */
    bufferBytes: integer(1024, 1048576).default(65536),
    /** … or at this age. Default: 1s. */
    flushInterval: seconds.default("1s"),
    /** How often a batch is tried again while the exporter is away, with up to 5 s between tries. Default: 20. */
    retries: integer(0, 1000).default(20),
  }).prefault({}),

  /** The service that turns access records into metrics. */
  exporter: section({
    /** Default: 2. */
    replicas: integer(1, 50).default(2),
    /** An own image with the service in it (see exporter/Dockerfile). Default: none, the bundle travels in a ConfigMap. */
    image: image.optional(),
    /** The stock Node image that runs the bundle. Default: versions.ts. */
    nodeImage: image.default(images.node),
    /** How long a pod that was told to end stays scrapable; more than one scrape interval. Default: 35. */
    drainSeconds: integer(1, 600).default(35),
    /** Default: requests 100m and 128Mi, limit 512Mi; no CPU limit, since throttling delays scrapes. */
    resources: section({
      cpuRequest: cpu.default("100m"),
      memoryRequest: memory.default("128Mi"),
      memoryLimit: memory.default("512Mi"),
    }).prefault({}),
  }).prefault({}),

  /** How Prometheus finds the exporter. */
  monitoring: section({
    /** A ServiceMonitor for the Prometheus Operator (default), or scrape annotations on the pods. */
    discovery: z
      .enum(["serviceMonitor", "annotations"], { error: "serviceMonitor or annotations" })
      .default("serviceMonitor"),
    /** Labels of the ServiceMonitor. Default: release: kube-prometheus-stack, since that chart ignores objects without it. */
    labels: labels.default({ release: "kube-prometheus-stack" }),
    /** Default: 15s. */
    scrapeInterval: duration.default("15s"),
    /** The namespace Prometheus runs in; only it may reach the metrics port. Default: monitoring. */
    prometheusNamespace: dnsLabel.default("monitoring"),
  }).prefault({}),

  /** Grafana dashboards, as ConfigMaps for the sidecar that kube-prometheus-stack brings. */
  dashboards: section({
    /** Default: true. */
    enabled: flag.default(true),
    /** The namespace the sidecar watches. Default: monitoring. */
    namespace: dnsLabel.default("monitoring"),
    /** The labels the sidecar looks for. Default: grafana_dashboard: "1". */
    labels: labels.default({ grafana_dashboard: "1" }),
  }).prefault({}),

  /** The exact objects of the abandoned attempt that are to go. Default: none. */
  retired: z
    .array(
      section({
        kind: z.enum(["ServiceEntry", "WorkloadGroup", "WorkloadEntry", "ServiceAccount"], {
          error: `one of ${kindNames}`,
        }),
        namespace: dnsLabel,
        name: z.string({ error: "the object's exact name" }).min(1, { error: "the object's exact name" }),
      }),
      { error: "a list of objects with kind, namespace and name" },
    )
    .default([]),
});

export type ConfigValues = z.output<typeof configSchema>;
export type RetiredObject = ConfigValues["retired"][number];

import { z } from "zod";
import { describeUrlProblem, inventoryInterval } from "./exporter/inventoryOptions";
import { meshSides } from "./exporter/measure/meshSettings";
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
/** Kiali drops series with an empty label without a word. */
const labelValue = z
  .string({ error: "a label's value, not empty" })
  .min(1, { error: "a label's value, not empty" });
/** None that the series have already. */
const scopeLabel = z
  .string()
  .regex(
    /^(?!__|source_|destination_|response_|(reporter|request_protocol|connection_security_policy|le)$)[a-zA-Z_]\w*$/,
    {
      error: "a label name that is none of Istio's own",
    },
  );
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

const kindNames = Object.keys(retirableKinds) as (keyof typeof retirableKinds)[];

const principalPart = z
  .string({ error: "a name without slashes" })
  .regex(/^[^/*\s]+$/, { error: "a name without slashes, stars and spaces" });
const certificateName = z
  .string({ error: "a DNS name or URI" })
  .regex(/^[\x21-\x2b\x2d-\x7e]+$/, { error: "a DNS name or a URI such as spiffe://…, without commas" });
const secretName = z
  .string({ error: "the name of a Secret" })
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, { error: "the name of a Secret" });

/** Who may reach the exporter's OTLP port; what each mode does is told in docs/access.md. */
const access = z.discriminatedUnion(
  "mode",
  [
    section({ mode: z.literal("network") }),
    section({
      mode: z.literal("mesh"),
      /** The gateway pods' service account. Required: a wrong one would refuse every record. */
      gatewayServiceAccount: dnsLabel,
      /** Default: cluster.local. */
      trustDomain: principalPart.default("cluster.local"),
      /** Where istiod runs. Default: istio-system. */
      controlPlaneNamespace: dnsLabel.default("istio-system"),
      /** Revision of Istio that injects the sidecar. Default: none, the default revision. */
      revision: dnsLabel.optional(),
      /** Istio's CNI plug-in is installed, so the namespace needs no privileged pods. Default: false. */
      istioCni: flag.default(false),
    }),
    section({
      mode: z.literal("tls"),
      /** Secret in vpsight's namespace with tls.crt, tls.key and ca.crt. Required. */
      secret: secretName,
      /** Secret in the gateway's namespace with tls.crt, tls.key and ca.crt. Required. */
      gatewaySecret: secretName,
      /** Names of which the gateway's certificate must carry one. Default: none, any of the authority will do. */
      clientNames: z.array(certificateName, { error: "a list of names" }).default([]),
    }),
  ],
  { error: (issue) => (issue.code === "invalid_union" ? "one of network, mesh, tls" : "a map") },
);

const loadBalancer = z.enum(["controller"], {
  error: (issue) =>
    issue.input === "in-tree"
      ? 'controller: the in-tree load balancer ignores the PROXY-protocol annotation silently, so stage "send" would never come true'
      : '"controller" (the AWS Load Balancer Controller)',
});

function filePath(example: string) {
  const error = `a path such as ${example}`;
  return z.string({ error }).min(1, { error });
}

const secretKey = z
  .string({ error: "a key of a Secret such as token" })
  .regex(/^[-._a-zA-Z0-9]{1,253}$/, { error: "a key of a Secret such as token" });
const tokenError =
  "a secret of 8 to 4096 characters without spaces (set it with `pulumi config set --secret`)";

const fleetEndpoint = section({
  /** An https URL. Its query string is in no log; it does stand in the pods' arguments. */
  url: z.string({ error: "an https URL" }),
  /** Take a URL with http too, where the network in between is trusted. Default: false. */
  allowHttp: flag.default(false),
  /** The bearer token, as a secret of the stack; it goes into a Secret of its own. Default: none. */
  token: z
    .string({ error: tokenError })
    .regex(/^[\x21-\x7e]{8,4096}$/, { error: tokenError })
    .optional(),
  /** … or a Secret in vpsight's namespace that holds it already. Default: none. */
  tokenSecret: section({
    name: z
      .string({ error: "the name of a Secret" })
      .regex(/^[a-z0-9][-.a-z0-9]{0,252}$/, { error: "the name of a Secret" }),
    /** Default: token. */
    key: secretKey.default("token"),
  }).optional(),
  /** PEM file of the authorities to believe, relative to Pulumi.yaml. Default: those Node brings. */
  caFile: filePath("fleet/plane-ca.pem").optional(),
  /** Between two requests. Default: 30. */
  intervalSeconds: integer(inventoryInterval.least, inventoryInterval.most).default(
    inventoryInterval.default,
  ),
  /**
   * The port that pods may open for it. A NetworkPolicy sees the port behind a Service, not the Service's own: set
   * it when the URL names a Service of the cluster and the two differ. Default: the URL's.
   */
  egressPort: integer(1, 65535).optional(),
}).superRefine(({ url, allowHttp, token, tokenSecret }, context) => {
  const problem = describeUrlProblem(url, allowHttp);
  if (problem !== undefined)
    context.addIssue({ code: "custom", path: ["url"], message: problem, input: url });
  if (token !== undefined && tokenSecret !== undefined)
    context.addIssue({
      code: "custom",
      path: ["tokenSecret"],
      message: "left out when there is a token",
      input: tokenSecret,
    });
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

  /** The inventory of VPSes: from a file, from the management plane, or both together (docs/inventory.md). */
  fleet: section({
    /** The inventory file, relative to Pulumi.yaml, such as fleet/prod.yaml. Required without `http`. */
    file: filePath("fleet/prod.yaml").optional(),
    /** Where the management plane serves the inventory. Default: nowhere. */
    http: fleetEndpoint.optional(),
  }).refine(({ file, http }) => file !== undefined || http !== undefined, {
    error: "a map with file, http or both",
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
    /**
     * How often a batch is tried again while the exporter is away. Default: 60, for outages of up to a minute.
     * Before try n Envoy waits a random time up to min(0.25 s x 2^(n-1), 5 s), on average half of that: 3.9 s for the first
     * five, 2.5 s for each further one. So 60 tries last 141 s on average with a deviation of 11 s, and of the first batches
     * in a minute without an exporter and 30 s until it is back one in a million is lost; with 20 tries (41 s, 6 s)
     * two in five were after 40 s.
     */
    retries: integer(0, 1000).default(60),
    /** Where records go. Default: the exporter. Another Service, such as that of a tier of Collectors (docs/scaling.md). */
    receiver: section({
      /** The Service's full name, such as otel-collector.observability.svc.cluster.local. */
      host: z
        .string({ error: "a Service's full name such as otel-collector.observability.svc.cluster.local" })
        .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, {
          error: "a Service's full name such as otel-collector.observability.svc.cluster.local",
        }),
      /** Its OTLP port, which must be named grpc-…; default 4317. */
      port: integer(1, 65535).default(4317),
    }).optional(),
  }).prefault({}),

  /** The service that turns access records into metrics. */
  exporter: section({
    /** Default: 2. */
    replicas: integer(1, 50).default(2),
    /** An own image with the service in it (see exporter/Dockerfile). Default: none, the bundle travels in a ConfigMap. */
    image: image.optional(),
    /** The stock Node image that runs the bundle. Default: versions.ts. */
    nodeImage: image.default(images.node),
    /** Who may reach the OTLP port, beside the NetworkPolicy. Default: mode network, nothing more. */
    access: access.prefault({ mode: "network" }),
    /** How long a pod that was told to end stays scrapable; more than one scrape interval. Default: 35. */
    drainSeconds: integer(1, 600).default(35),
    /** Whether `/status` names the most frequent unknown addresses, which may be personal data. Default: true. */
    statusAddresses: flag.default(true),
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
    /** Labels of Prometheus' pods; {} for every pod of its namespace. Default: app.kubernetes.io/name: prometheus. */
    prometheusSelector: labels.default({ "app.kubernetes.io/name": "prometheus" }),
  }).prefault({}),

  /** Recording rules and alerts; needs the Prometheus Operator, as `discovery: serviceMonitor` does. */
  rules: section({
    /** Default: true. */
    enabled: flag.default(true),
    /** Where docs/runbooks can be read: each alert links to its page below. Default: the folder's path. */
    runbookUrl: z
      .string({ error: "an address without a slash at its end" })
      .regex(/^\S+[^\s/]$/, { error: "an address without a slash at its end" })
      .default("docs/runbooks"),
    /**
     * A selector of the counter that says how many requests there should be, such as
     * istio_requests_total{reporter="source",destination_service_name="server-api"}. Default: the gateway's log counters.
     */
    expectedRequests: z
      .string({ error: "a PromQL selector" })
      .regex(/^[a-zA-Z_:][\w:]*(\{.*\})?$/, { error: "a PromQL selector such as istio_requests_total{…}" })
      .optional(),
    /** A PodMonitor for the gateway's log counters on port 15090; false if something scrapes them already. Default: true. */
    gatewayMonitor: flag.default(true),
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

  /** Each VPS as a node of its own in Kiali's graph. See docs/kiali.md for why each label has its value. */
  kiali: section({
    /** Default: true. The series are extra ones of `istio_requests_total`: totals without a selector count them, too. */
    enabled: flag.default(true),
    /** The empty namespace that Kiali shows the VPSes in. Default: edge-nodes. */
    namespace: dnsLabel.default("edge-nodes"),
    /** Make that namespace, or use one that stands already. Default: true. */
    createNamespace: flag.default(true),
    /** Labels of the namespace: those that the mesh's discoverySelectors ask for. Default: none. */
    namespaceLabels: labels.default({}),
    /** Kiali's name of its home cluster: istiod's CLUSTER_ID. Default: Kubernetes. */
    cluster: labelValue.default("Kubernetes"),
    /** Who reports the hop: source, destination, both, or auto (default): both up to `bothUpTo`, source above it. */
    sides: z.enum(meshSides, { error: `one of ${meshSides.join(", ")}` }).default("auto"),
    /** With auto: the largest fleet that is reported from both sides. Default: 300. */
    bothUpTo: integer(0, 100_000).default(300),
    /** A region's box is called this and the region. Default: edge-. */
    regionPrefix: z
      .string({ error: "the beginning of a DNS label such as edge-" })
      .regex(/^[a-z0-9][-a-z0-9]{0,31}$/, { error: "the beginning of a DNS label such as edge-" })
      .default("edge-"),
    /** The gateway as its own series name it. */
    gateway: section({
      /** Default: the name in `gateway.service`. */
      workload: labelValue.optional(),
      /** Default: the workload's name. */
      canonicalService: labelValue.optional(),
      /** Default: latest. */
      canonicalRevision: labelValue.default("latest"),
      /** Default: unknown, without which Kiali would show one VPS's latency for all. */
      serviceName: labelValue.default("unknown"),
    }).prefault({}),
    /** Labels and values of Kiali's `query_scope`. Default: none. */
    queryScope: z.record(scopeLabel, labelValue, { error: "a map of label names to values" }).default({}),
    /** Show callers outside the inventory, as one node. Default: false. */
    strangers: flag.default(false),
    /** Serve bytes, too, for throughput on the edges. Default: false. */
    bytes: flag.default(false),
    /** A WorkloadGroup and a WorkloadEntry per VPS: silent ones stay, with a page. Default: false. */
    workloads: flag.default(false),
  }).prefault({}),

  /** The exact objects of the abandoned attempt that are to go. Default: none. */
  retired: z
    .array(
      section({
        kind: z.enum(kindNames, { error: `one of ${kindNames.join(", ")}` }),
        namespace: dnsLabel,
        name: z.string({ error: "the object's exact name" }).min(1, { error: "the object's exact name" }),
      }),
      { error: "a list of objects with kind, namespace and name" },
    )
    .default([]),
}).superRefine(({ exporter: { drainSeconds }, monitoring: { scrapeInterval } }, context) => {
  const least = leastDrainSeconds(scrapeInterval);
  if (drainSeconds >= least) return;
  context.addIssue({
    code: "custom",
    path: ["exporter", "drainSeconds"],
    input: drainSeconds,
    message: `at least ${least} with monitoring.scrapeInterval ${scrapeInterval}, so that Prometheus reads an ending pod once more`,
  });
});

/** One scrape interval and one scrape, for which Prometheus takes at most 10 s and never more than the interval. */
function leastDrainSeconds(scrapeInterval: string): number {
  const [, amount = "", unit = ""] = /^(\d+)(ms|s|m)$/.exec(scrapeInterval) ?? [];
  const seconds = Number(amount) * ({ ms: 0.001, s: 1, m: 60 }[unit] ?? 1);
  return Math.ceil(seconds + Math.min(10, seconds));
}

export type ConfigValues = z.output<typeof configSchema>;
export type RetiredObject = ConfigValues["retired"][number];

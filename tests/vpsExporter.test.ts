import { VpsExporter, type VpsExporterArgs } from "../components/vpsExporter";
import * as objects from "../components/vpsExporterObjects";
import { meshSettings } from "./exporter/mesh";
import { only, record } from "./support/mocks";

const args: VpsExporterArgs = {
  objectName: "vpsight",
  namespace: "vpsight",
  createNamespace: true,
  gateway: {
    namespace: "istio-system",
    service: "istio-ingressgateway",
    selector: { istio: "ingressgateway" },
  },
  inventory: "vps: []",
  bundle: "// the service",
  replicas: 2,
  nodeImage: "docker.io/library/node:24",
  drainSeconds: 35,
  resources: { cpuRequest: "100m", memoryRequest: "128Mi", memoryLimit: "512Mi" },
  monitoring: {
    discovery: "serviceMonitor",
    labels: { release: "kube-prometheus-stack" },
    scrapeInterval: "15s",
    prometheusNamespace: "monitoring",
  },
};

const deploy = (changed: Partial<VpsExporterArgs> = {}) =>
  record(() => void new VpsExporter("exporter", { ...args, ...changed }, {}));

/** The part of the Deployment's pods that the tests look into. */
interface Pods {
  spec: {
    template: {
      metadata: { annotations: Record<string, string> };
      spec: {
        containers: { image: string; command?: string[]; args: string[]; volumeMounts: { name: string }[] }[];
        volumes: { name: string }[];
        terminationGracePeriodSeconds: number;
      };
    };
  };
}

async function pods(changed: Partial<VpsExporterArgs> = {}) {
  const { template } = (only(await deploy(changed), "exporter-deployment").inputs as unknown as Pods).spec;
  const [container] = template.spec.containers;
  if (container === undefined) throw new Error("the pod has no container");
  return { template, container };
}

test("everything that belongs to running the exporter, and nothing else", async () => {
  expect((await deploy()).map(({ type }) => type).sort()).toEqual([
    "kubernetes:apps/v1:Deployment",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:Service",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:policy/v1:PodDisruptionBudget",
  ]);
  const types = (await deploy({ createNamespace: false })).map(({ type }) => type);
  expect(types).not.toContain("kubernetes:core/v1:Namespace");
});

test("the pods hold no privilege", async () => {
  const { template, container } = await pods();
  expect(template.spec).toMatchObject({
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
  });
  expect(container).toMatchObject({
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "512Mi" } },
  });
});

test("the bundle runs on the stock image, or an own image runs itself", async () => {
  const stock = await pods();
  expect(stock.container).toMatchObject({
    image: "docker.io/library/node:24",
    command: ["node", "/opt/vpsight/exporter.cjs"],
  });
  const own = await pods({ image: "registry.example/vpsight-exporter:1.0" });
  expect(own.container.image).toBe("registry.example/vpsight-exporter:1.0");
  expect(own.container.command).toBeUndefined();
  expect(own.template.spec.volumes.map(({ name }) => name)).toEqual(["inventory"]);
  expect(
    (await deploy({ image: "registry.example/vpsight-exporter:1.0" })).map(({ name }) => name),
  ).not.toContain("exporter-bundle");
});

test("a changed bundle rolls the pods, a changed inventory does not", async () => {
  const before = (await pods()).template;
  expect((await pods({ inventory: "vps: [] # changed" })).template).toEqual(before);
  expect((await pods({ bundle: "// another" })).template).not.toEqual(before);
});

test("what Kiali needs goes to the pods as one flag, and only when it is wanted", async () => {
  const flagged = (container: { args: string[] }) =>
    container.args.filter((each) => each.startsWith("--mesh="));
  expect(flagged((await pods()).container)).toEqual([]);
  const [flag = ""] = flagged((await pods({ mesh: meshSettings })).container);
  expect(JSON.parse(flag.replace("--mesh=", ""))).toEqual(meshSettings);
});

test("an ending pod has time to drain before it is killed", async () => {
  const { template, container } = await pods({ drainSeconds: 90 });
  expect(container.args).toContain("--drain-seconds=90");
  expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(90);
});

test("Istio can tell gRPC from the port's name, and the receiver's host is the Service's", async () => {
  const service = only(await deploy({ namespace: "edge" }), "exporter-service").inputs;
  expect(service).toMatchObject({
    metadata: { name: "vpsight-exporter", namespace: "edge" },
    spec: {
      ports: [
        { name: "grpc-otlp", port: 4317 },
        { name: "http-metrics", port: 9464 },
      ],
    },
  });
  let receiver: VpsExporter["receiver"] | undefined;
  await record(() => {
    receiver = new VpsExporter("exporter", { ...args, namespace: "edge" }, {}).receiver;
  });
  expect(receiver).toEqual({ host: "vpsight-exporter.edge.svc.cluster.local", port: 4317 });
});

test("only the gateway's pods may send, only Prometheus' namespace may scrape, and nothing goes out", () => {
  expect(objects.networkPolicy(args).spec).toMatchObject({
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      {
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "istio-system" } },
            podSelector: { matchLabels: { istio: "ingressgateway" } },
          },
        ],
        ports: [{ port: 4317 }],
      },
      {
        from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
        ports: [{ port: 9464 }],
      },
    ],
    egress: [],
  });
});

test("Prometheus finds it by a ServiceMonitor with the labels it asks for, or by annotations", async () => {
  expect(only(await deploy(), "exporter-monitor").inputs).toMatchObject({
    metadata: { labels: { release: "kube-prometheus-stack" } },
    spec: { endpoints: [{ port: "http-metrics", path: "/metrics", interval: "15s", honorLabels: true }] },
  });
  const monitoring = { ...args.monitoring, discovery: "annotations" as const };
  expect((await deploy({ monitoring })).map(({ name }) => name)).not.toContain("exporter-monitor");
  expect((await pods({ monitoring })).template.metadata.annotations).toMatchObject({
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "9464",
  });
});

test("an inventory that no ConfigMap can hold is refused before the cluster does", () => {
  expect(() => objects.inventoryConfigMap({ ...args, inventory: "#".repeat(1_000_001) })).toThrow(
    "exporter inventory: must be at most 1000000 bytes, what a ConfigMap can hold; got 1000001.",
  );
});

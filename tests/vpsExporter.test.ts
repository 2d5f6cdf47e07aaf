import * as pulumi from "@pulumi/pulumi";
import * as endpoint from "../components/inventoryEndpoint";
import { VpsExporter, type VpsExporterArgs } from "../components/vpsExporter";
import * as objects from "../components/vpsExporterObjects";
import { parseOptions } from "../exporter/options";
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
  access: { mode: "network" },
  inventory: "vps: []",
  bundle: "// the service",
  replicas: 2,
  nodeImage: "docker.io/library/node:24",
  drainSeconds: 35,
  statusAddresses: true,
  resources: { cpuRequest: "100m", memoryRequest: "128Mi", memoryLimit: "512Mi" },
  monitoring: {
    discovery: "serviceMonitor",
    labels: { release: "kube-prometheus-stack" },
    scrapeInterval: "15s",
    prometheusNamespace: "monitoring",
    prometheusSelector: { "app.kubernetes.io/name": "prometheus" },
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
        containers: {
          image: string;
          command?: string[];
          args: string[];
          lifecycle: { preStop: object };
          volumeMounts: { name: string }[];
        }[];
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
    command: ["node", "--max-semi-space-size=2", "/opt/vpsight/exporter.cjs"],
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
  expect(container.lifecycle.preStop).toEqual({ sleep: { seconds: 5 } });
  expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(5 + 90);
});

test("the addresses on /status can be switched off", async () => {
  for (const statusAddresses of [true, false]) {
    const { container } = await pods({ statusAddresses });
    expect(parseOptions(container.args).statusAddresses).toBe(statusAddresses);
  }
});

test("Istio can tell gRPC from the port's name, and the receiver's host is the Service's", async () => {
  const service = only(await deploy({ namespace: "edge" }), "exporter-service").inputs;
  expect(service).toMatchObject({
    metadata: { name: "vpsight-exporter", namespace: "edge" },
    spec: {
      ports: [{ name: "grpc-otlp", port: 4317 }],
    },
  });
  let receiver: VpsExporter["receiver"] | undefined;
  await record(() => {
    receiver = new VpsExporter("exporter", { ...args, namespace: "edge" }, {}).receiver;
  });
  expect(receiver).toEqual({ host: "vpsight-exporter.edge.svc.cluster.local", port: 4317 });
});

test("only the gateway's pods may send, only Prometheus may scrape, and nothing goes out", () => {
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
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } },
            podSelector: { matchLabels: { "app.kubernetes.io/name": "prometheus" } },
          },
        ],
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
  expect(() => objects.inventoryConfigMap(args, "#".repeat(1_000_001))).toThrow(
    "exporter inventory: must be at most 1000000 bytes, what a ConfigMap can hold; got 1000001.",
  );
});

describe("the management plane's inventory", () => {
  const inventoryEndpoint = {
    url: "https://plane.example/fleet",
    allowHttp: false,
    token: "s3cr3t-token",
    authorities: "-----BEGIN CERTIFICATE-----",
    intervalSeconds: 30,
  };

  test("the pods ask for it with token and authorities from files, and keep it in an emptyDir", async () => {
    const { template, container } = await pods({ inventoryEndpoint });
    expect(container.args).toEqual([
      "--inventory-file=/etc/vpsight/inventory/fleet.yaml",
      "--inventory-url=https://plane.example/fleet",
      "--inventory-token-file=/etc/vpsight/inventory-token/token",
      "--inventory-ca-file=/etc/vpsight/inventory-ca/ca.crt",
      "--inventory-interval-seconds=30",
      "--state-directory=/var/lib/vpsight",
      "--drain-seconds=35",
      "--status-addresses=on",
    ]);
    expect(template.spec.volumes).toEqual(
      expect.arrayContaining([
        {
          name: "inventory-token",
          secret: {
            secretName: "vpsight-exporter-inventory-token",
            items: [{ key: "token", path: "token" }],
          },
        },
        { name: "inventory-ca", configMap: { name: "vpsight-exporter-inventory-ca" } },
        { name: "state", emptyDir: { sizeLimit: "64Mi" } },
      ]),
    );
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(
      template.spec.volumes.map(({ name }) => name).sort(),
    );
    expect(container).toMatchObject({ securityContext: { readOnlyRootFilesystem: true } });
    // What the exporter makes of these flags.
    expect(parseOptions(container.args).httpInventory).toMatchObject({ intervalSeconds: 30 });
  });

  test("the token stands in one Secret, marked as secret, and nowhere else", async () => {
    const recorded = await deploy({ inventoryEndpoint });
    const secret = only(recorded, "exporter-inventory-token");
    expect(secret.type).toBe("kubernetes:core/v1:Secret");
    expect(secret.inputs).toMatchObject({ metadata: { name: "vpsight-exporter-inventory-token" } });
    // The mock engine unwraps secrets; what the builder hands over is one.
    const { stringData } = endpoint.tokenSecret(objects.metadata(args), "s3cr3t-token");
    const token = (stringData as Record<string, pulumi.Output<string>>)["token"];
    expect(await pulumi.isSecret(token as pulumi.Output<string>)).toBe(true);
    const others = recorded.filter((resource) => resource !== secret);
    expect(JSON.stringify(others)).not.toContain("s3cr3t-token");
  });

  test("a Secret that is there already is used, and none is made", async () => {
    const existing = {
      ...inventoryEndpoint,
      token: undefined,
      tokenSecret: { name: "plane", key: "bearer" },
    };
    expect((await deploy({ inventoryEndpoint: existing })).map(({ type }) => type)).not.toContain(
      "kubernetes:core/v1:Secret",
    );
    expect((await pods({ inventoryEndpoint: existing })).template.spec.volumes).toContainEqual({
      name: "inventory-token",
      secret: { secretName: "plane", items: [{ key: "bearer", path: "token" }] },
    });
  });

  test("it can be all there is: then there is no inventory ConfigMap", async () => {
    const changed = { inventory: undefined, inventoryEndpoint: { ...inventoryEndpoint, token: undefined } };
    const { template, container } = await pods(changed);
    expect(container.args.filter((flag) => /inventory-(file|token-file)/.test(flag))).toEqual([]);
    expect(template.spec.volumes.map(({ name }) => name)).toEqual(["inventory-ca", "state", "bundle"]);
    expect((await deploy(changed)).map(({ name }) => name)).not.toContain("exporter-inventory");
  });

  test.each([
    ["https://plane.example/fleet", undefined, 443],
    ["https://plane.example:8443/fleet", undefined, 8443],
    ["http://plane.example/fleet", undefined, 80],
    ["https://plane.default.svc/fleet", 8443, 8443],
  ])("%s with egress port %p: pods may look names up and open port %i", (url, egressPort, port) => {
    const changed = { ...args, inventoryEndpoint: { ...inventoryEndpoint, url, egressPort } };
    expect(objects.networkPolicy(changed).spec).toMatchObject({
      egress: [
        {
          ports: [
            { port: 53, protocol: "UDP" },
            { port: 53, protocol: "TCP" },
          ],
        },
        { ports: [{ port, protocol: "TCP" }] },
      ],
    });
  });
});

import type { ExporterAccess } from "../components/exporterAccess";
import { VpsExporter, type VpsExporterArgs } from "../components/vpsExporter";
import { only, record } from "./support/mocks";

/**
 * The exact objects of each mode of access. That a real API server and istiod take them, and that a real Envoy does by
 * them what they say, is shown in tests/mesh/accessTls.test.ts and tests/mesh/accessMesh.test.ts.
 */
const args: Omit<VpsExporterArgs, "access"> = {
  objectName: "vpsight",
  namespace: "vpsight",
  createNamespace: true,
  gateway: {
    namespace: "istio-ingress",
    service: "istio-ingressgateway",
    selector: { istio: "ingressgateway" },
  },
  inventory: "vps: []",
  bundle: "// the service",
  replicas: 2,
  nodeImage: "docker.io/library/node:24",
  drainSeconds: 40,
  statusAddresses: true,
  resources: { cpuRequest: "100m", memoryRequest: "128Mi", memoryLimit: "512Mi" },
  monitoring: {
    discovery: "serviceMonitor",
    labels: {},
    scrapeInterval: "15s",
    prometheusNamespace: "monitoring",
    prometheusSelector: { "app.kubernetes.io/name": "prometheus" },
  },
};

const mesh = {
  mode: "mesh",
  gatewayServiceAccount: "istio-ingressgateway",
  trustDomain: "example.test",
  controlPlaneNamespace: "istio-system",
  istioCni: false,
} as const satisfies ExporterAccess;

const tls = {
  mode: "tls",
  secret: "otlp-server",
  gatewaySecret: "otlp-client",
  clientNames: ["gateway.example", "spiffe://example.test/gateway"],
} satisfies ExporterAccess;

const podSelector = {
  "app.kubernetes.io/name": "vpsight-exporter",
  "app.kubernetes.io/instance": "vpsight",
};
const dnsAndIstiod = [
  {
    to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } } }],
    ports: [
      { port: 53, protocol: "UDP" },
      { port: 53, protocol: "TCP" },
    ],
  },
  {
    to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "istio-system" } } }],
    ports: [{ port: 15012, protocol: "TCP" }],
  },
];

const deploy = (access: ExporterAccess) =>
  record(() => void new VpsExporter("exporter", { ...args, access }, {}));

/** The kinds that only some modes have. */
async function policies(access: ExporterAccess) {
  const kinds = /:(PeerAuthentication|AuthorizationPolicy|DestinationRule)$/;
  return (await deploy(access)).filter(({ type }) => kinds.test(type)).map(({ name }) => name);
}

interface Template {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: { containers: { args: string[]; volumeMounts: { name: string }[] }[]; volumes: { name: string }[] };
}

async function template(access: ExporterAccess): Promise<Template> {
  const { inputs } = only(await deploy(access), "exporter-deployment");
  return (inputs["spec"] as { template: Template }).template;
}

const namespaceLabels = async (access: ExporterAccess) =>
  only(await deploy(access), "exporter-namespace").inputs["metadata"] as { labels: Record<string, string> };

const ingressPorts = async (access: ExporterAccess) => {
  const { spec } = only(await deploy(access), "exporter-network").inputs as {
    spec: { ingress: { ports: { port: number }[] }[]; egress: unknown };
  };
  return { ports: spec.ingress.map(({ ports }) => ports.map(({ port }) => port)), egress: spec.egress };
};

describe("mode network", () => {
  const access = { mode: "network" } as const;

  test("the pods are outside the mesh, and nothing goes out", async () => {
    expect((await template(access)).metadata.labels["sidecar.istio.io/inject"]).toBe("false");
    expect(await namespaceLabels(access)).toMatchObject({
      labels: { "istio-injection": "disabled", "pod-security.kubernetes.io/enforce": "restricted" },
    });
    expect(await policies(access)).toEqual([]);
    expect(await ingressPorts(access)).toEqual({ ports: [[4317], [9464]], egress: [] });
  });
});

describe("mode mesh", () => {
  test("only the gateway's service account may send, by mutual TLS", async () => {
    const recorded = await deploy(mesh);
    expect(await policies(mesh)).toEqual(["exporter-mutual-tls", "exporter-authorization"]);
    const metadata = { name: "vpsight-exporter", namespace: "vpsight" };
    expect(only(recorded, "exporter-mutual-tls").inputs).toMatchObject({
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata,
      spec: { selector: { matchLabels: podSelector }, mtls: { mode: "STRICT" } },
    });
    expect(only(recorded, "exporter-authorization").inputs).toMatchObject({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata,
      spec: {
        selector: { matchLabels: podSelector },
        action: "ALLOW",
        rules: [
          {
            from: [{ source: { principals: ["example.test/ns/istio-ingress/sa/istio-ingressgateway"] } }],
            to: [{ operation: { ports: ["4317"] } }],
          },
        ],
      },
    });
  });

  test("the pods get a sidecar that leaves the metrics port alone and stays as long as the exporter drains", async () => {
    const { metadata } = await template(mesh);
    expect(metadata.labels).toMatchObject({ "sidecar.istio.io/inject": "true" });
    expect(metadata.labels).not.toHaveProperty("istio.io/rev");
    expect(metadata.annotations).toMatchObject({
      "traffic.sidecar.istio.io/excludeInboundPorts": "9464",
      "sidecar.istio.io/rewriteAppHTTPProbers": "false",
      "prometheus.istio.io/merge-metrics": "false",
    });
    expect(JSON.parse(metadata.annotations["proxy.istio.io/config"] ?? "")).toEqual({
      holdApplicationUntilProxyStarts: true,
      terminationDrainDuration: "40s",
    });
    const { labels } = (await template({ ...mesh, revision: "canary" })).metadata;
    expect(labels["istio.io/rev"]).toBe("canary");
  });

  test("the namespace admits what injection adds, and no more with Istio's CNI plug-in", async () => {
    const label = "pod-security.kubernetes.io/enforce";
    const { labels } = await namespaceLabels(mesh);
    expect([labels[label], labels["istio-injection"]]).toEqual(["privileged", undefined]);
    expect((await namespaceLabels({ ...mesh, istioCni: true })).labels[label]).toBe("restricted");
  });

  test("the NetworkPolicy stays, and lets the sidecar reach DNS and istiod", async () => {
    expect(await ingressPorts(mesh)).toEqual({ ports: [[4317], [9464]], egress: dnsAndIstiod });
  });
});

describe("mode tls", () => {
  test("the exporter gets its certificates from the Secret, and the names it allows", async () => {
    const { spec, metadata } = await template(tls);
    const [container] = spec.containers;
    expect(container?.args).toEqual(
      expect.arrayContaining([
        "--otlp-tls-certificate-file=/etc/vpsight/tls/tls.crt",
        "--otlp-tls-key-file=/etc/vpsight/tls/tls.key",
        "--otlp-tls-client-ca-file=/etc/vpsight/tls/ca.crt",
        "--otlp-tls-client-names=gateway.example,spiffe://example.test/gateway",
      ]),
    );
    expect(container?.volumeMounts).toContainEqual({
      name: "tls",
      mountPath: "/etc/vpsight/tls",
      readOnly: true,
    });
    expect(spec.volumes).toContainEqual({ name: "tls", secret: { secretName: "otlp-server" } });
    expect(metadata.labels["sidecar.istio.io/inject"]).toBe("false");
    const [anybody] = (await template({ ...tls, clientNames: [] })).spec.containers;
    expect(anybody?.args.join(" ")).not.toContain("client-names");
  });

  test("the gateway, and nobody else, is told to speak mutual TLS and to whom", async () => {
    expect(await policies(tls)).toEqual(["exporter-gateway-tls"]);
    const host = "vpsight-exporter.vpsight.svc.cluster.local";
    expect(only(await deploy(tls), "exporter-gateway-tls").inputs).toMatchObject({
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "vpsight-exporter", namespace: "istio-ingress" },
      spec: {
        host,
        exportTo: ["."],
        workloadSelector: { matchLabels: { istio: "ingressgateway" } },
        trafficPolicy: {
          portLevelSettings: [
            {
              port: { number: 4317 },
              tls: { mode: "MUTUAL", credentialName: "otlp-client", sni: host, subjectAltNames: [host] },
            },
          ],
        },
      },
    });
    expect(await ingressPorts(tls)).toEqual({ ports: [[4317], [9464]], egress: [] });
  });
});

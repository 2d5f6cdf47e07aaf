import type { KubernetesObject } from "@kubernetes/client-node";
import { meshObjectLabels, meshObjects } from "../components/meshObjects";
import { planMeshObjects } from "../components/meshObjectsSync";
import { meshSettings } from "../components/meshSettings";
import { MeshTopology, type MeshTopologyArgs } from "../components/meshTopology";
import { configSchema } from "../configSchema";
import { parseMeshSettings } from "../exporter/measure/meshSettings";
import { parseInventory } from "../exporter/identify/inventory";
import { meshSettings as expectedSettings } from "./exporter/mesh";
import { only, record } from "./support/mocks";

const { vps } = parseInventory(
  JSON.stringify({
    vps: [
      { name: "jp-001", region: "jp", addresses: ["203.0.113.1"] },
      { name: "hk-001", region: "hk", addresses: ["198.51.100.32/28"] },
    ],
  }),
  "test",
);

const args: MeshTopologyArgs = {
  objectName: "vpsight",
  namespace: "edge-nodes",
  createNamespace: true,
  namespaceLabels: { "istio-discovery": "enabled" },
  exporterNamespace: "vpsight",
  monitoring: { discovery: "serviceMonitor", labels: { release: "prometheus" }, scrapeInterval: "15s" },
  regionPrefix: "edge-",
  workloads: [],
  cluster: {},
};

const deploy = (changed: Partial<MeshTopologyArgs> = {}) =>
  record(() => void new MeshTopology("mesh", { ...args, ...changed }, {}));

test("a namespace, a scrape of its own, and a list of objects, empty by default", async () => {
  const recorded = await deploy();
  expect(recorded.map(({ type }) => type).sort()).toEqual([
    "kubernetes:core/v1:Namespace",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
    "pulumi:index:Stash",
  ]);
  expect(only(recorded, "mesh-namespace").inputs).toMatchObject({
    metadata: { name: "edge-nodes", labels: { "istio-discovery": "enabled", "istio-injection": "disabled" } },
  });
  expect(only(recorded, "mesh-monitor").inputs).toMatchObject({
    metadata: { name: "vpsight-mesh", namespace: "vpsight", labels: { release: "prometheus" } },
    spec: {
      selector: { matchLabels: { "app.kubernetes.io/instance": "vpsight" } },
      endpoints: [{ port: "http-metrics", path: "/metrics/mesh", interval: "15s", honorLabels: true }],
    },
  });
  expect(only(recorded, "mesh-workloads").inputs).toMatchObject({ input: [] });
});

test("no resource for each VPS, whatever the fleet; the Sidecar only with objects", async () => {
  const recorded = await deploy({ workloads: [...vps], createNamespace: false });
  expect(recorded.map(({ name }) => name).sort()).toEqual(["mesh-monitor", "mesh-sidecar", "mesh-workloads"]);
  expect(only(recorded, "mesh-sidecar").inputs).toMatchObject({ metadata: { namespace: "edge-nodes" } });
});

test("pods found by annotations get no ServiceMonitor", async () => {
  const monitoring = { ...args.monitoring, discovery: "annotations" as const };
  expect((await deploy({ monitoring })).map(({ name }) => name)).not.toContain("mesh-monitor");
});

test("by default the exporter gets exactly the labels that Kiali needs, in a form it takes", () => {
  const values = configSchema.parse({ fleet: { file: "x" } });
  const settings = meshSettings(values);
  expect(settings).toEqual(expectedSettings);
  expect(parseMeshSettings(JSON.stringify(settings))).toEqual(settings);
});

test("the gateway's names follow its Service's, or are said", () => {
  const gateway = (kiali: Record<string, unknown>) =>
    meshSettings(
      configSchema.parse({ fleet: { file: "x" }, gateway: { namespace: "edge", service: "public" }, kiali }),
    ).gateway;
  expect(gateway({})).toMatchObject({
    namespace: "edge",
    workload: "public",
    canonicalService: "public",
    host: "public.edge.svc.cluster.local",
  });
  expect(gateway({ gateway: { workload: "gw", canonicalRevision: "v2" } })).toMatchObject({
    workload: "gw",
    canonicalService: "gw",
    canonicalRevision: "v2",
  });
});

describe("the objects of a VPS", () => {
  const wanted = meshObjects(args, vps);

  test("are a WorkloadGroup and a WorkloadEntry of its name, in its region's app", () => {
    const labels = { app: "edge-hk", version: "hk-001" };
    const metadata = { name: "hk-001", namespace: "edge-nodes", labels: { ...meshObjectLabels, ...labels } };
    expect(wanted.filter(({ metadata: { name } }) => name === "hk-001")).toEqual([
      {
        apiVersion: "networking.istio.io/v1",
        kind: "WorkloadGroup",
        metadata,
        spec: { metadata: { labels }, template: { serviceAccount: "default" } },
      },
      {
        apiVersion: "networking.istio.io/v1",
        kind: "WorkloadEntry",
        metadata,
        spec: { address: "198.51.100.32", labels, serviceAccount: "default" },
      },
    ]);
  });

  test("are applied when missing or different, removed when the VPS left, and otherwise left alone", () => {
    const plan = (existing: KubernetesObject[], fleet = vps) =>
      planMeshObjects({ namespace: "edge-nodes", objects: meshObjects(args, fleet) }, existing);
    expect(plan([])).toEqual({ apply: wanted, remove: [] });
    expect(plan(wanted)).toEqual({ apply: [], remove: [] });
    const [group, entry] = wanted;
    if (group === undefined || entry === undefined) throw new Error("no objects");
    const moved = { ...entry, spec: { ...entry.spec, address: "192.0.2.1" } };
    expect(plan([group, moved, ...wanted.slice(2)]).apply).toEqual([entry]);
    expect(plan(wanted, vps.slice(1))).toEqual({ apply: [], remove: [group, entry] });
    expect(plan(wanted, [])).toEqual({ apply: [], remove: wanted });
  });

  test("never take over, nor remove, what somebody else made; all are named", () => {
    const foreign = (name: string, kind = "WorkloadEntry") => ({
      kind,
      metadata: { name, labels: { app: "x" } },
    });
    const settings = { namespace: "edge-nodes", objects: wanted };
    expect(() => planMeshObjects(settings, [foreign("jp-001"), foreign("hk-001", "WorkloadGroup")])).toThrow(
      /^MeshTopology: WorkloadEntry jp-001, WorkloadGroup hk-001 in edge-nodes were made by somebody else/,
    );
    expect(planMeshObjects(settings, [foreign("other")]).remove).toEqual([]);
  });
});

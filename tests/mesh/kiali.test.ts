import { KubernetesObjectApi } from "@kubernetes/client-node";
import { inventoryEntries, startPlatform, type Platform } from "../../sandbox/platform";
import { kialiLine, readGraph, runKiali, vpsNamespace, type KialiRun } from "../../sandbox/kiali";
import { meshNamespace, minutes } from "./support/namespace";

/** What Kiali would draw of a polling fleet, asked of the real Prometheus, held against the ledger. */
let platform: Platform;
let run: KialiRun;

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace());
  run = await runKiali({ platform, signal: new AbortController().signal, loadSeconds: 60 });
}, minutes(6));

afterAll(() => platform.stop(), minutes(1));

test("each VPS is one node with one edge to the gateway, with its rate, errors and response time", () => {
  expect(run.check.problems).toEqual([]);
  expect(run.check.edges).toHaveLength(12);
  expect(run.check.doubled).toBe(0);
  expect(kialiLine(run.check)).toMatch(/^kiali: 12 of 12 edges, 0 doubled, worst rate error \d\.\d %$/);
  // There was something to compare: errors of several kinds, and slow answers.
  expect(
    run.check.edges.filter(({ expectedErrorRatio }) => expectedErrorRatio > 0.05).length,
  ).toBeGreaterThan(2);
  expect(run.check.edges.filter(({ latency = 0 }) => latency > 250).length).toBeGreaterThan(1);
});

test("the gateway's edge to the panel is as it was, and a total without the VPSes, too", () => {
  expect(run.panelEdge.withVpses).toBe(run.panelEdge.withoutVpses);
  expect(run.panelEdge.withVpses).toBeGreaterThan(1);
  // What somebody's total without a selector sees is more than before; the docs say so, and which selector to use.
  expect(run.totals.everything).toBeGreaterThan(run.totals.withoutVpses * 1.5);
});

test("the app graph has one node per region", async () => {
  const choice = {
    type: "app",
    serviceNodes: true,
    namespaces: [vpsNamespace, "istio-system"],
    windowSeconds: 300,
    quantile: 0.95,
  } as const;
  const graph = await readGraph(platform.prometheus, platform.controlPlane.kubeConfig, choice);
  const regions = [...graph.nodes.values()].filter(({ namespace }) => namespace === vpsNamespace);
  expect(regions.map(({ name }) => name).sort()).toEqual(["edge-hk", "edge-jp", "edge-us"]);
  expect(graph.edges.filter(({ source }) => regions.some(({ id }) => id === source))).toHaveLength(3);
});

test(
  "objects per VPS come with one setting, follow the inventory, and go with it",
  async () => {
    const { engine, controlPlane, inventory, deployInventory } = platform;
    const api = KubernetesObjectApi.makeApiClient(controlPlane.kubeConfig);
    const names = async (kind: string) => {
      const { items } = await api.list("networking.istio.io/v1", kind, vpsNamespace);
      return items.map(({ metadata }) => metadata?.name ?? "").sort();
    };
    const fleet = inventory.vps.map(({ name }) => name).sort();
    engine.configure({ kiali: { workloads: true } });
    const preview = await engine.preview();
    expect(preview.messages).toContainEqual(expect.stringMatching(/24 WILL BE applied, 0 WILL BE removed/));
    expect(await names("WorkloadGroup")).toEqual([]);
    await engine.up();
    expect(await names("WorkloadGroup")).toEqual(fleet);
    expect(await names("WorkloadEntry")).toEqual(fleet);
    expect(await names("Sidecar")).toEqual(["vpsight-mesh"]);
    expect((await engine.up()).changes).toEqual([]);

    const entries = inventoryEntries(inventory).filter(({ name }) => name !== "jp-004");
    await deployInventory(entries);
    expect(await names("WorkloadEntry")).toEqual(fleet.filter((name) => name !== "jp-004"));
    engine.configure({ kiali: undefined });
    await engine.up();
    expect([await names("WorkloadGroup"), await names("WorkloadEntry"), await names("Sidecar")]).toEqual([
      [],
      [],
      [],
    ]);
  },
  minutes(3),
);

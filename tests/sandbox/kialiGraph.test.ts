import { buildGraph, type GraphOptions, type NamespaceAnswers } from "../../sandbox/kiali/graph";
import { latencyQueries, trafficQueries } from "../../sandbox/kiali/queries";
import type { Sample } from "../../sandbox/ledger";

/** Kiali's rules on answers of a few series; that Prometheus gives such answers is shown by tests/mesh. */
const hop = {
  source_cluster: "Kubernetes",
  source_workload: "jp-001",
  source_workload_namespace: "edge-nodes",
  source_canonical_service: "edge-jp",
  source_canonical_revision: "jp-001",
  destination_cluster: "Kubernetes",
  destination_workload: "istio-ingressgateway",
  destination_workload_namespace: "istio-system",
  destination_canonical_service: "istio-ingressgateway",
  destination_canonical_revision: "latest",
  destination_service: "istio-ingressgateway.istio-system.svc.cluster.local",
  destination_service_name: "unknown",
  destination_service_namespace: "istio-system",
  request_protocol: "http",
};

const sample = (value: number, changed: Record<string, string> = {}): Sample => {
  const labels = { ...hop, response_code: "200", response_flags: "-", ...changed };
  // Prometheus has no empty labels.
  return { labels: Object.fromEntries(Object.entries(labels).filter(([, text]) => text !== "")), value };
};

const options: GraphOptions = {
  type: "versionedApp",
  serviceNodes: true,
  accessible: new Set(["Kubernetes:edge-nodes", "Kubernetes:istio-system"]),
};

const selected = (namespace: string, traffic: Sample[], latency: Sample[] = []): NamespaceAnswers => ({
  namespace,
  traffic: [traffic],
  latency: [latency],
});

const drawn = (traffic: Sample[], changed: Partial<GraphOptions> = {}) =>
  buildGraph([selected("edge-nodes", traffic)], { ...options, ...changed });

test("a VPS is one node in its region's box, with one edge of its rate and errors", () => {
  const graph = drawn([
    sample(2),
    sample(1, { response_code: "304" }),
    sample(0.5, { response_code: "422" }),
    sample(0.25, { response_code: "503" }),
    sample(0.25, { response_code: "0" }),
  ]);
  expect(
    [...graph.nodes.values()].map(({ kind, name, app, inaccessible }) => [kind, name, app, inaccessible]),
  ).toEqual([
    ["workload", "jp-001", "edge-jp", false],
    ["workload", "istio-ingressgateway", "istio-ingressgateway", false],
  ]);
  expect(graph.edges).toMatchObject([{ rate: 4, errors: 1, protocol: "http" }]);
});

test("the same series from both reporters, and from two namespaces' answers, are one edge", () => {
  const both = [sample(2), sample(2)];
  const graph = buildGraph([selected("edge-nodes", both), selected("istio-system", [sample(2)])], options);
  expect(graph.edges).toMatchObject([{ rate: 2 }]);
});

test("sides whose labels differ are added up: the edge is doubled", () => {
  expect(drawn([sample(2), sample(2, { destination_canonical_revision: "v2" })]).edges).toMatchObject([
    { rate: 4 },
  ]);
});

test.each([
  "source_workload",
  "source_canonical_service",
  "source_canonical_revision",
  "destination_service_name",
  "destination_canonical_revision",
  "request_protocol",
  "response_flags",
])("without %s the series is left out", (label) => {
  const graph = drawn([sample(2, { [label]: "" })]);
  expect(graph.edges).toEqual([]);
  expect(graph.skipped).toEqual([expect.stringContaining(label)]);
});

test("a protocol by another name draws an edge without a rate", () => {
  expect(drawn([sample(2, { request_protocol: "HTTP/1.1" })]).edges).toMatchObject([{ rate: 0 }]);
});

test("a namespace that is not there, or a foreign cluster, makes the node inaccessible", () => {
  const inaccessible = (changed: Record<string, string>) =>
    [...drawn([sample(2, changed)]).nodes.values()]
      .filter((node) => node.inaccessible)
      .map(({ name }) => name);
  expect(inaccessible({})).toEqual([]);
  expect(inaccessible({ source_workload_namespace: "gone" })).toEqual(["jp-001"]);
  expect(inaccessible({ source_cluster: "elsewhere" })).toEqual(["jp-001"]);
});

test("a service's name puts a service node in between, and the VPS loses its response time", () => {
  const traffic = [sample(2, { destination_service_name: "istio-ingressgateway" })];
  const latency = [sample(40, { destination_service_name: "istio-ingressgateway" })];
  const graph = buildGraph([selected("edge-nodes", traffic, latency)], options);
  const ends = graph.edges.map(({ source, target, latency: shown }) => [
    graph.nodes.get(source)?.kind,
    graph.nodes.get(target)?.kind,
    shown,
  ]);
  expect(ends).toEqual([
    ["workload", "service", undefined],
    ["service", "workload", 40],
  ]);
  const direct = buildGraph([selected("edge-nodes", [sample(2)], [sample(40)])], options);
  expect(direct.edges).toMatchObject([{ latency: 40 }]);
});

test("in the app graph a region is one node, with the sum of its VPSes", () => {
  const graph = drawn(
    [sample(2), sample(3, { source_workload: "jp-002", source_canonical_revision: "jp-002" })],
    {
      type: "app",
    },
  );
  expect(graph.edges).toMatchObject([{ rate: 5 }]);
  expect([...graph.nodes.values()].map(({ kind, name }) => [kind, name])).toEqual([
    ["app", "edge-jp"],
    ["app", "istio-ingressgateway"],
  ]);
});

test("the queries are Kiali's: by reporter and namespace, rounded, without what is 0", () => {
  const [unserved, incoming, outgoing] = trafficQueries("edge-nodes", 300);
  expect(unserved).toContain('destination_service=~"^.+\\\\.edge-nodes\\\\..+$"');
  expect(incoming).toMatch(
    /^round\(sum\(rate\(istio_requests_total\{reporter="destination",destination_workload_namespace="edge-nodes"\}\[300s\]\)\) by \(source_cluster,.*,response_code,grpc_response_status,response_flags\) > 0,0\.001\)$/,
  );
  expect(outgoing).toContain('{reporter="source",source_workload_namespace="edge-nodes"}[300s]');
  expect(latencyQueries("istio-system", 300, 0.95)).toEqual([
    expect.stringContaining(
      '{reporter="destination",destination_service_namespace="istio-system"}[300s])) by (le,',
    ),
    expect.stringContaining('{reporter="source",source_workload_namespace="istio-system"}[300s])) by (le,'),
  ]);
});

import { checkGraph, expectVpses, kialiLine, type CheckOptions } from "../../sandbox/kiali/check";
import type { Graph, GraphEdge, GraphNode } from "../../sandbox/kiali/graph";
import type { LedgerEntry } from "../../sandbox/ledger";

/** What the check finds wrong in a graph that is a little off; the graphs here are made by hand. */
const options: CheckOptions = {
  windowSeconds: 100,
  namespace: "edge-nodes",
  gateway: { namespace: "istio-system", workload: "gateway" },
  rateTolerance: 0.05,
  errorTolerance: 0.01,
};

const entry = (vps: string, code: number): LedgerEntry => ({
  ...{ vps, region: "jp", endpoint: "config", method: "GET", code, nodeId: "1", attempt: 1, finished: true },
  ...{ startMilliseconds: 0, endMilliseconds: 40, requestBytes: 0, responseBytes: 0 },
});
const entries = ["jp-001", "jp-002"].flatMap((vps) => [
  ...Array.from({ length: 190 }, () => entry(vps, 304)),
  ...[503, 422, 0, 0, 500, 500, 500, 500, 500, 500].map((code) => entry(vps, code)),
]);
const brackets = entries.map(({ vps, region, endpoint }) => ({
  ...{ vps, region, endpoint, leastMilliseconds: 30.9, mostMilliseconds: 40.2 },
}));
const expected = expectVpses(entries, brackets, 0.95);

const node = (namespace: string, name: string, changed: Partial<GraphNode> = {}): GraphNode => ({
  ...{ id: name, kind: "workload", cluster: "c", namespace, name, app: "edge-jp", inaccessible: false },
  ...changed,
});
const edge = (source: string, changed: Partial<GraphEdge> = {}): GraphEdge => ({
  ...{ source, target: "gateway", protocol: "http", rate: 2, errors: 0.1, latency: 40 },
  ...changed,
});
const graph = (edges: GraphEdge[], nodes: GraphNode[] = [], skipped: string[] = []): Graph => {
  const all = [
    node("edge-nodes", "jp-001"),
    node("edge-nodes", "jp-002"),
    node("istio-system", "gateway"),
    ...nodes,
  ];
  return { nodes: new Map(all.map((each) => [each.id, each])), edges, skipped };
};
const check = (...found: Parameters<typeof graph>) => checkGraph(graph(...found), expected, options);
const right = edge("jp-002");

test("a graph like the ledger is right", () => {
  expect(expected[0]).toEqual({
    vps: "jp-001",
    region: "jp",
    requests: 200,
    errors: 10,
    latency: { least: 25, most: 50 },
  });
  const result = check([edge("jp-001"), right]);
  expect(result.problems).toEqual([]);
  expect(kialiLine(result)).toBe("kiali: 2 of 2 edges, 0 doubled, worst rate error 0.0 %");
});

test.each([
  ["a missing edge", [], /^jp-001: 0 edges instead of one$/],
  [
    "a rate that is off",
    [edge("jp-001", { rate: 2.2, errors: 0.11 })],
    /^jp-001: 2\.200 rps instead of 2\.000$/,
  ],
  ["errors that are off", [edge("jp-001", { errors: 0 })], /^jp-001: 0\.0 % errors instead of 5\.0 %$/],
  ["no response time", [edge("jp-001", { latency: undefined })], /^jp-001: no response time$/],
  [
    "another's response time",
    [edge("jp-001", { latency: 51 })],
    /^jp-001: response time 51 ms, which is not/,
  ],
  [
    "an edge to elsewhere",
    [edge("jp-001", { target: "jp-002" })],
    /^jp-001: its edge leads to workload jp-002/,
  ],
])("%s is found", (_name, edges, problem) => {
  const result = check([...edges, right]);
  expect(result.problems).toEqual([expect.stringMatching(problem)]);
  expect(kialiLine(result)).toMatch(/^kiali: 1 of 2 edges, /);
});

test("a VPS that Kiali may not see is found", () => {
  const result = check([edge("jp-001"), right], [node("edge-nodes", "jp-001", { inaccessible: true })]);
  expect(result.problems).toEqual(["jp-001: is inaccessible to Kiali"]);
  expect(kialiLine(result)).toMatch(/^kiali: 1 of 2 edges, /);
});

test("twice the rate, or two edges, are doubled", () => {
  expect(check([edge("jp-001", { rate: 4, errors: 0.2 }), right]).doubled).toBe(1);
  expect(check([edge("jp-001"), edge("jp-001", { target: "jp-002" }), right]).doubled).toBe(1);
});

test("a second gateway, a strange node, an inaccessible one and a series left out are found", () => {
  const edges = [edge("jp-001"), right];
  expect(check(edges, [node("other", "gateway", { id: "second" })]).problems).toEqual([
    "2 nodes are called gateway",
  ]);
  expect(check(edges, [node("edge-nodes", "unknown")]).problems).toHaveLength(1);
  expect(check(edges, [node("gone", "x", { inaccessible: true })]).problems).toEqual([
    "x: is inaccessible to Kiali",
  ]);
  expect(check(edges, [], ["jp-003: response_flags is missing"]).problems).toHaveLength(1);
});

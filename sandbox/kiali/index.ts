/**
 * Kiali's queries and its rules for a graph, written anew, to hold what Kiali would draw against the ledger. What they
 * do not prove is said in `graph.ts`; a real Kiali can be pointed at the sandbox (docs/kiali.md).
 */
export { checkGraph, expectVpses, kialiLine, type KialiCheck, type VpsEdge } from "./check";
export { buildGraph, type Graph, type GraphEdge, type GraphNode, type NamespaceAnswers } from "./graph";
export { drawGraph } from "./picture";
export { latencyQueries, trafficQueries } from "./queries";
export { accessibleNamespaces, askPrometheus, readGraph, type GraphChoice } from "./readGraph";
export { runKiali, vpsNamespace, type KialiRun } from "./run";

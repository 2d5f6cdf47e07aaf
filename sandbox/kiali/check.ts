import type { LatencyBracket, LedgerEntry } from "../ledger";
import { meshDurationBounds } from "../../exporter/measure/meshDurations";
import type { Graph, GraphEdge, GraphNode } from "./graph";

/** One VPS as the ledger has it, over the window that the graph shows. */
export interface ExpectedVps {
  readonly vps: string;
  readonly region: string;
  readonly requests: number;
  /** Answered with 4xx or 5xx, or not at all. */
  readonly errors: number;
  /** The shortest and longest time that the quantile's bucket can stand for, in milliseconds. */
  readonly latency: { readonly least: number; readonly most: number };
}

/** One VPS in the graph beside the ledger. */
export interface VpsEdge {
  readonly vps: string;
  readonly region: string;
  /** Requests per second in the graph and by the ledger. */
  readonly rate: number;
  readonly expectedRate: number;
  /** Share of the edge's rate that is wrong: 0 is right, 1 is twice as much or nothing. */
  readonly rateError: number;
  /** 0 to 1. */
  readonly errorRatio: number;
  readonly expectedErrorRatio: number;
  /** Milliseconds; undefined when the graph shows none. */
  readonly latency: number | undefined;
  readonly expectedLatency: ExpectedVps["latency"];
  /** Edges that begin at this VPS; 1 is right. */
  readonly edges: number;
  readonly problems: readonly string[];
}

export interface KialiCheck {
  readonly edges: readonly VpsEdge[];
  /** VPSes with more than one edge, or about twice their rate. */
  readonly doubled: number;
  readonly worstRateError: number;
  /** Everything that is wrong, VPSes and the rest. */
  readonly problems: readonly string[];
}

export interface CheckOptions {
  readonly windowSeconds: number;
  /** Namespace of the VPSes, and the gateway that each must lead to. */
  readonly namespace: string;
  readonly gateway: { readonly namespace: string; readonly workload: string };
  /** How far a rate may be off: what Prometheus' extrapolation over half-empty ends of the window can do. */
  readonly rateTolerance: number;
  /** How far an error ratio may be off; it hardly suffers from extrapolation. */
  readonly errorTolerance: number;
}

/** Groups the ledger by VPS. @param brackets one for each entry, in the same order (`bracketLatencies`). */
export function expectVpses(
  entries: readonly LedgerEntry[],
  brackets: readonly LatencyBracket[],
  quantile: number,
): ExpectedVps[] {
  const groups = new Map<string, { entries: LedgerEntry[]; brackets: LatencyBracket[] }>();
  entries.forEach((entry, index) => {
    const group = groups.get(entry.vps) ?? { entries: [], brackets: [] };
    groups.set(entry.vps, group);
    group.entries.push(entry);
    const bracket = brackets[index];
    if (bracket !== undefined) group.brackets.push(bracket);
  });
  return [...groups].map(([vps, group]) => ({
    vps,
    region: group.entries[0]?.region ?? "",
    requests: group.entries.length,
    errors: group.entries.filter(({ code }) => code === 0 || code >= 400).length,
    latency: {
      least: bucketBelow(
        ranked(
          group.brackets.map((bracket) => bracket.leastMilliseconds),
          quantile,
        ),
      ),
      most: bucketAbove(
        ranked(
          group.brackets.map((bracket) => bracket.mostMilliseconds),
          quantile,
        ),
      ),
    },
  }));
}

/** Holds the graph against the ledger: one edge per VPS, to the gateway, with its rate, errors and latency. */
export function checkGraph(
  graph: Graph,
  expected: readonly ExpectedVps[],
  options: CheckOptions,
): KialiCheck {
  const names = new Set(expected.map(({ vps }) => vps));
  const nodes = [...graph.nodes.values()];
  const edges = expected.map((vps) => checkVps(graph, vps, options));
  const strange = nodes.filter(({ namespace, name }) => namespace === options.namespace && !names.has(name));
  const gateways = nodes.filter(({ name }) => name === options.gateway.workload);
  return {
    edges,
    doubled: edges.filter((edge) => edge.edges > 1 || edge.rateError > 0.5).length,
    worstRateError: Math.max(0, ...edges.map(({ rateError }) => rateError)),
    problems: [
      ...edges.flatMap(({ vps, problems }) => problems.map((problem) => `${vps}: ${problem}`)),
      ...strange.map(({ name }) => `${name}: a node in ${options.namespace} that is no VPS of the fleet`),
      ...(gateways.length === 1 ? [] : [`${gateways.length} nodes are called ${options.gateway.workload}`]),
      ...nodes
        .filter(({ inaccessible, namespace }) => inaccessible && namespace !== options.namespace)
        .map(({ name }) => `${name}: is inaccessible to Kiali`),
      ...graph.skipped.map((reason) => `Kiali leaves a series out: ${reason}`),
    ],
  };
}

/** `kiali: 12 of 12 edges, 0 doubled, worst rate error 1.3 %` */
export function kialiLine({ edges, doubled, worstRateError }: KialiCheck): string {
  const right = edges.filter(({ problems }) => problems.length === 0).length;
  const worst = (worstRateError * 100).toFixed(1);
  return `kiali: ${right} of ${edges.length} edges, ${doubled} doubled, worst rate error ${worst} %`;
}

function checkVps(graph: Graph, expected: ExpectedVps, options: CheckOptions): VpsEdge {
  const { vps, region, requests, errors, latency: expectedLatency } = expected;
  const nodes = [...graph.nodes.values()].filter(
    ({ name, namespace }) => name === vps && namespace === options.namespace,
  );
  const ids = new Set(nodes.map(({ id }) => id));
  const edges = graph.edges.filter(({ source }) => ids.has(source));
  const rate = sum(edges.map((edge) => edge.rate));
  const errorRatio = rate === 0 ? 0 : sum(edges.map((edge) => edge.errors)) / rate;
  const expectedRate = requests / options.windowSeconds;
  const [edge] = edges;
  const found = {
    rate,
    expectedRate,
    rateError: Math.abs(rate - expectedRate) / expectedRate,
    errorRatio,
    expectedErrorRatio: errors / requests,
    latency: edge?.latency,
    expectedLatency,
  };
  const problems =
    edges.length === 1 && edge !== undefined ? edgeProblems(graph, nodes, edge, found, options) : [];
  if (edges.length !== 1) problems.push(`${edges.length} edges instead of one`);
  return { vps, region, ...found, edges: edges.length, problems };
}

type Figures = Pick<
  VpsEdge,
  "rate" | "expectedRate" | "rateError" | "errorRatio" | "expectedErrorRatio" | "latency" | "expectedLatency"
>;

function edgeProblems(
  graph: Graph,
  nodes: readonly GraphNode[],
  edge: GraphEdge,
  figures: Figures,
  options: CheckOptions,
): string[] {
  const problems: string[] = [];
  const target = graph.nodes.get(edge.target);
  const { workload, namespace } = options.gateway;
  if (target?.kind !== "workload" || target.name !== workload || target.namespace !== namespace)
    problems.push(
      `its edge leads to ${target?.kind ?? "nothing"} ${target?.name ?? ""} and not to ${workload}`,
    );
  if (nodes.some(({ inaccessible }) => inaccessible)) problems.push("is inaccessible to Kiali");
  if (nodes.some(({ app }) => app === "")) problems.push("stands in no region's box");
  const { rate, expectedRate, rateError, errorRatio, expectedErrorRatio, latency, expectedLatency } = figures;
  if (!(rateError <= options.rateTolerance))
    problems.push(`${rate.toFixed(3)} rps instead of ${expectedRate.toFixed(3)}`);
  if (Math.abs(errorRatio - expectedErrorRatio) > options.errorTolerance)
    problems.push(`${percent(errorRatio)} errors instead of ${percent(expectedErrorRatio)}`);
  const { least, most } = expectedLatency;
  if (latency === undefined) problems.push("no response time");
  else if (latency < least || latency > most)
    problems.push(`response time ${latency} ms, which is not between ${least} and ${most} ms`);
  return problems;
}

/** The value that `histogram_quantile` looks for: the one of rank q * n. */
function ranked(values: readonly number[], quantile: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0;
}

/** Envoy's times are whole milliseconds rounded down; a histogram knows the bucket only, and interpolates in it. */
const bucketBelow = (milliseconds: number) =>
  Math.max(0, ...meshDurationBounds.filter((bound) => bound < Math.floor(milliseconds)));
const bucketAbove = (milliseconds: number) =>
  meshDurationBounds.find((bound) => bound >= Math.floor(milliseconds)) ?? Infinity;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const percent = (ratio: number) => `${(ratio * 100).toFixed(1)} %`;

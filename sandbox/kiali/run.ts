import { setTimeout as delay } from "node:timers/promises";
import { runFleet } from "../fleet";
import { bracketLatencies, Ledger, unknownSender, waitForCounts } from "../ledger";
import type { Platform } from "../platform";
import { waitFor } from "../cluster";
import type { FaultRule } from "../xboard/faults";
import { noFaults } from "../xboard/faults";
import { checkGraph, expectVpses, type KialiCheck } from "./check";
import { buildGraph, type Graph, type NamespaceAnswers } from "./graph";
import { accessibleNamespaces, askPrometheus, type GraphChoice } from "./readGraph";

/** Where the VPSes stand in the graph, by the defaults of the program. */
export const vpsNamespace = "edge-nodes";
const gateway = { namespace: "istio-system", workload: "istio-ingressgateway" } as const;
const panelWorkload = "airport-xboard";

/** What the operator has chosen in Kiali: every namespace of the path, Kiali's defaults, 95th percentile. */
const choice = {
  type: "versionedApp",
  serviceNodes: true,
  namespaces: [vpsNamespace, gateway.namespace, "airport-prod"],
  quantile: 0.95,
} as const satisfies Omit<GraphChoice, "windowSeconds">;

/** Errors, delays and silence that the load meets, so that there is something to compare. */
const faults: readonly FaultRule[] = [
  { nodeId: "11", endpoint: "user", effect: { kind: "delay", milliseconds: 300 } },
  { nodeId: "14", endpoint: "config", effect: { kind: "status", status: 500 } },
  { nodeId: "24", endpoint: "push", effect: { kind: "status", status: 503 } },
  { nodeId: "32", effect: { kind: "delay", milliseconds: 1_200 } },
  { nodeId: "34", effect: { kind: "status", status: 404 } },
];
/** At the start only: each try lasts as long as the caller's patience. */
const hanging: FaultRule = { nodeId: "21", endpoint: "push", effect: { kind: "hang" } };

export interface KialiRunOptions {
  readonly platform: Platform;
  readonly signal: AbortSignal;
  /** How long the fleet polls. Default 90. */
  readonly loadSeconds?: number;
  /** Told what is being done. Default: nobody. */
  readonly progress?: (what: string) => void;
}

/** Sums over `istio_requests_total` that somebody may have already, in requests per second. */
export interface Totals {
  /** `sum(rate(istio_requests_total{reporter="source"}[…]))`, as it is in many dashboards. */
  readonly everything: number;
  /** The same without the VPSes: what it was before. */
  readonly withoutVpses: number;
}

export interface KialiRun {
  readonly check: KialiCheck;
  readonly graph: Graph;
  readonly windowSeconds: number;
  readonly totals: Totals;
  /** The edge gateway -> panel in the graph with and without our series, in requests per second. */
  readonly panelEdge: {
    readonly withVpses: number;
    readonly withoutVpses: number;
    readonly seenByPanel: number;
  };
}

/**
 * Lets the fleet poll for a while, then asks Prometheus what Kiali asks and holds the graph against the ledger.
 *
 * The window begins before the load and ends after it, so that all of it lies inside and rate times window is the ledger's
 * count. What remains is Prometheus' extrapolation: it takes the last scrape's pace for the rest of the window, which
 * adds up to one scrape interval in the window (5 s in two minutes: 4 %).
 */
export async function runKiali(options: KialiRunOptions): Promise<KialiRun> {
  const { platform, progress = () => undefined, loadSeconds = 90 } = options;
  const { prometheus, controlPlane, xboard, exporters } = platform;
  progress("waiting for the first scrape of /metrics/mesh");
  const pods = await exporters();
  const instances = `count(count by (instance) (istio_requests_total{source_workload_namespace="${vpsNamespace}"}))`;
  await waitFor("a scrape of every exporter's /metrics/mesh", 60_000, async () => {
    const [sample] = await prometheus.query(instances);
    return sample?.value === pods.length ? true : undefined;
  });
  const begin = Date.now() / 1_000;
  await delay(scrapeSeconds * 2_000);

  progress(`the fleet polls for ${loadSeconds} s`);
  const ledger = await load(options, loadSeconds);
  progress(`${ledger.total} requests sent; waiting for Prometheus to have them`);
  const result = await waitForCounts(ledger.counts(), () => prometheus.requestCounts());
  if (!result.complete) progress("Prometheus' counts are not the ledger's; what follows will differ, too");
  await delay(scrapeSeconds * 2_000);

  const end = Date.now() / 1_000;
  const windowSeconds = Math.round(end - begin);
  const answers = await askPrometheus(prometheus, { ...choice, windowSeconds }, end);
  const accessible = await accessibleNamespaces(controlPlane.kubeConfig);
  const graph = buildGraph(answers, { ...choice, accessible });
  const { requests: seen } = await xboard.requests();
  const known = ledger.entries.filter(({ vps }) => vps !== unknownSender.vps);
  const expected = expectVpses(known, bracketLatencies(known, seen), choice.quantile);
  const check = checkGraph(graph, expected, {
    windowSeconds,
    namespace: vpsNamespace,
    gateway,
    rateTolerance: 0.06,
    errorTolerance: 0.01,
  });
  const panelEdge = {
    withVpses: panelRate(graph),
    withoutVpses: panelRate(buildGraph(answers.map(withoutVpses), { ...choice, accessible })),
    seenByPanel: seen.filter(({ aborted }) => !aborted).length / windowSeconds,
  };
  const totals = await readTotals(options, windowSeconds, end);
  return {
    check: { ...check, problems: [...check.problems, ...pathProblems(panelEdge, totals)] },
    graph,
    windowSeconds,
    totals,
    panelEdge,
  };
}

/** The sandbox's, in `Pulumi.sandbox.yaml` and `monitoring.yaml`. */
const scrapeSeconds = 5;
const intervalMilliseconds = 2_000;

async function load({ platform, signal }: KialiRunOptions, seconds: number): Promise<Ledger> {
  const { target, plan, token, xboard } = platform;
  const ledger = new Ledger();
  const done = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1_000)]);
  await xboard.setFaults({ ...noFaults, rules: [...faults, hanging] });
  const fleet = runFleet({ target, plan, token, ledger, signal: done, intervalMilliseconds });
  await delay(intervalMilliseconds * 3);
  await xboard.setFaults({ ...noFaults, rules: faults });
  await fleet;
  await xboard.setFaults(noFaults);
  signal.throwIfAborted();
  return ledger;
}

/** Requests per second that the graph has from the gateway to the panel, whatever stands in between. */
function panelRate({ nodes, edges }: Graph): number {
  const into = edges.filter(({ target }) => nodes.get(target)?.name === panelWorkload);
  const last = into.filter(({ target }) => nodes.get(target)?.kind === "workload");
  return last.reduce((sum, { rate }) => sum + rate, 0);
}

function withoutVpses({ namespace, traffic, latency }: NamespaceAnswers): NamespaceAnswers {
  const native = (samples: NamespaceAnswers["traffic"]) =>
    samples.map((vector) =>
      vector.filter(({ labels }) => labels["source_workload_namespace"] !== vpsNamespace),
    );
  return { namespace, traffic: native(traffic), latency: native(latency) };
}

async function readTotals(
  { platform }: KialiRunOptions,
  windowSeconds: number,
  end: number,
): Promise<Totals> {
  const total = async (selector: string) => {
    const query = `sum(rate(istio_requests_total{reporter="source"${selector}}[${windowSeconds}s]))`;
    return (await platform.prometheus.query(query, end))[0]?.value ?? 0;
  };
  return {
    everything: await total(""),
    withoutVpses: await total(`,source_workload_namespace!="${vpsNamespace}"`),
  };
}

/** Envoy's own series begin with the first request, not at 0, so that their rate lacks what came before the first scrape. */
const panelTolerance = 0.15;

function pathProblems(
  { withVpses, withoutVpses, seenByPanel }: KialiRun["panelEdge"],
  totals: Totals,
): string[] {
  const problems: string[] = [];
  if (withVpses !== withoutVpses)
    problems.push(`gateway -> ${panelWorkload}: ${withVpses} rps with the VPSes, ${withoutVpses} without`);
  if (!(Math.abs(withVpses - seenByPanel) <= seenByPanel * panelTolerance))
    problems.push(
      `gateway -> ${panelWorkload}: ${withVpses.toFixed(3)} rps, the panel saw ${seenByPanel.toFixed(3)}`,
    );
  if (Math.abs(totals.withoutVpses - withVpses) > 0.01 * withVpses)
    problems.push(
      `the sum without ${vpsNamespace} is ${totals.withoutVpses.toFixed(3)} rps, not the gateway's own`,
    );
  return problems;
}

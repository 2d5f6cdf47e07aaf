import { writeFile } from "node:fs/promises";
import { runOnPlatform } from "./inside";
import { drawGraph, kialiLine, runKiali, type KialiRun } from "./kiali";

/** Where the picture of the graph goes; none without it. */
const picture = process.env["VPSIGHT_KIALI_PICTURE"] ?? "";

/** `make kiali-check`: the fleet polls for a while, then what Kiali would draw is held against the ledger. */
runOnPlatform({}, async (platform, _namespace, signal) => {
  const run = await runKiali({ platform, signal, progress: (what) => console.log(what) });
  if (picture !== "") await writeFile(picture, drawGraph(run));
  for (const line of report(run)) console.log(line);
  return run.check.problems.length === 0 ? 0 : 1;
});

function report({ check, windowSeconds, panelEdge, totals }: KialiRun): string[] {
  const columns = ["VPS".padEnd(8), "RPS", "LEDGER", "ERROR %", "LEDGER", "P95 MS", "POSSIBLE"];
  const row = (cells: readonly string[]) => cells.map((cell) => cell.padStart(9)).join(" ");
  const rps = (rate: number) => rate.toFixed(3);
  const percent = (ratio: number) => (ratio * 100).toFixed(1);
  return [
    "",
    `What Kiali draws over ${windowSeconds} s, beside what the fleet sent:`,
    row(columns),
    ...check.edges.map((edge) =>
      row([
        edge.vps.padEnd(8),
        rps(edge.rate),
        rps(edge.expectedRate),
        percent(edge.errorRatio),
        percent(edge.expectedErrorRatio),
        edge.latency?.toFixed(0) ?? "-",
        `${edge.expectedLatency.least} to ${edge.expectedLatency.most}`,
      ]),
    ),
    "",
    `gateway -> panel: ${rps(panelEdge.withVpses)} rps with the VPSes in the graph, ${rps(panelEdge.withoutVpses)} without; the panel saw ${rps(panelEdge.seenByPanel)}`,
    `sum(rate(istio_requests_total{reporter="source"})): ${rps(totals.everything)} rps; with source_workload_namespace!="edge-nodes", as before: ${rps(totals.withoutVpses)}`,
    ...check.problems.map((problem) => `  ${problem}`),
    kialiLine(check),
  ];
}

import { setTimeout as delay } from "node:timers/promises";
import * as path from "node:path";
import { runFleet, tourFaults } from "./fleet";
import { runOnPlatform } from "./inside";
import { Ledger, type PrometheusClient } from "./ledger";
import { exposePort } from "./namespace/forward";
import { sandboxNetwork } from "./namespace/network";
import { ports } from "../components/vpsExporterObjects";
import { failed } from "../rules/recorded";
import { forwardedServer } from "./controlPlane";
import type { Platform } from "./platform";
import type { SandboxNamespace } from "./namespace/inside";
import { renderTable, type FleetRow } from "./table";

/** XrayR polls once a minute; here a minute passes in two seconds. */
const intervalMilliseconds = 2_000;

/** `make sandbox`: the fleet polls until Ctrl-C, and a table shows what Prometheus knows of it. */
runOnPlatform({}, async (platform, namespace, signal) => {
  const addresses = await expose(platform, namespace);
  const { target, plan, token, xboard, prometheus } = platform;
  let fault = "healthy";
  const ledger = new Ledger({ keepEntries: false });
  const fleet = runFleet({ target, plan, token, ledger, signal, intervalMilliseconds });
  const tour = tourFaults({
    plan,
    setFaults: (faults) => xboard.setFaults(faults),
    signal,
    progress: (what) => (fault = what),
  });
  while (!signal.aborted) {
    const rows = await readRows(prometheus);
    const sent = `${ledger.total} requests sent; the panel: ${fault}`;
    show([
      ...addresses,
      "",
      ...renderTable(rows, process.stdout.isTTY),
      "",
      sent,
      "Ctrl-C ends it and leaves nothing behind.",
    ]);
    await delay(process.stdout.isTTY ? 2_000 : 10_000, undefined, { signal }).catch(() => undefined);
  }
  console.log("\nstopping: fleet, pods, control plane");
  await Promise.all([fleet, tour]);
  return 0;
});

/** Makes the platform reachable from the host, and says where. */
async function expose(platform: Platform, { directory, forwards }: SandboxNamespace): Promise<string[]> {
  const [exporter = ""] = await platform.exporters();
  const kubeconfig = path.join(directory, "kubeconfig");
  await platform.controlPlane.writeKubeconfig(kubeconfig, forwardedServer(forwards["kubernetes"] ?? 0));
  await exposePort(directory, "kubernetes", { host: sandboxNetwork.nodeAddress, port: 6443 });
  await exposePort(directory, "prometheus", { host: new URL(platform.prometheusUrl).hostname, port: 9090 });
  await exposePort(directory, "exporter", { host: exporter, port: ports.metrics });
  return [
    `Prometheus  http://127.0.0.1:${forwards["prometheus"]}`,
    `exporter    http://127.0.0.1:${forwards["exporter"]}/metrics   (one of its pods)`,
    `kubeconfig  ${kubeconfig}`,
  ];
}

const rateWindow = "30s";
const by = "sum by (vps, region)";
const queries = {
  requestsPerSecond: `${by} (rate(vps_requests_total[${rateWindow}]))`,
  errorRatio: `${by} (rate(vps_requests_total{${failed}}[${rateWindow}])) / ${by} (rate(vps_requests_total[${rateWindow}]))`,
  p50: `histogram_quantile(0.5, sum by (vps, region, le) (rate(vps_request_duration_seconds_bucket[${rateWindow}])))`,
  p95: `histogram_quantile(0.95, sum by (vps, region, le) (rate(vps_request_duration_seconds_bucket[${rateWindow}])))`,
  silence: "time() - (max by (vps, region) (vps_last_request_timestamp_seconds) > 0)",
} as const;

async function readRows(prometheus: PrometheusClient): Promise<FleetRow[]> {
  const rows = new Map<string, FleetRow>();
  await Promise.all(
    Object.entries(queries).map(async ([column, expression]) => {
      for (const { labels, value } of await prometheus.query(expression)) {
        const { vps = "", region = "" } = labels;
        const row = rows.get(vps) ?? { vps, region };
        rows.set(vps, { ...row, [column]: value });
      }
    }),
  );
  return [...rows.values()];
}

/** On a terminal the table stays in place; elsewhere it is printed again and again. */
function show(lines: readonly string[]): void {
  const home = process.stdout.isTTY ? "\u001b[H\u001b[2J" : "\n";
  process.stdout.write(`${home}${lines.join("\n")}\n`);
}

/**
 * What Kiali's graph costs at 12, 300 and 1,000 VPSes: `make kiali-scale`. A real Prometheus on loopback scrapes the
 * exporter's own renderer, whose counts grow, over HTTP; then every query of the graph is asked, one after the other as
 * Kiali does, and the processor time that Prometheus spent is read from the kernel (the wall time beside it depends on
 * what else the machine does). Kiali's own share and its browser's are not in it.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync, constants } from "node:zlib";
import { configSchema } from "../../configSchema";
import { meshSettings } from "../../components/meshSettings";
import { parseInventory } from "../../exporter/identify/inventory";
import { Measurements } from "../../exporter/measure/measurements";
import { renderMesh } from "../../exporter/measure/meshExposition";
import type { MeshSides } from "../../exporter/measure/meshSettings";
import { MetricsServer } from "../../exporter/serve/http";
import { prometheusVersion } from "../cluster/images";
import { PrometheusClient } from "../ledger";
import { partPath } from "../parts/find";
import { buildGraph, type GraphType } from "./graph";
import { askPrometheus } from "./readGraph";

const namespaces = ["edge-nodes", "istio-system", "airport-prod"];
const prometheusPort = 19_390;
const scrapeSeconds = 5;
const windowSeconds = 30;

async function main(): Promise<void> {
  console.log(
    `${cpus().length} cores, ${cpus()[0]?.model ?? ""}; Prometheus ${prometheusVersion()}; window ${windowSeconds} s`,
  );
  console.log("Columns: VPSes, sides, series, body and gzipped body of a scrape, rendering;");
  console.log(
    "versioned-app graph: Prometheus' processor time, wall time, edges; the same of the app graph.",
  );
  for (const [size, sides] of [
    [12, "both"],
    [300, "both"],
    [1_000, "source"],
    [1_000, "both"],
  ] as const)
    console.log(await measure(size, sides));
}

async function measure(size: number, sides: MeshSides): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), "kiali-scale-"));
  const measurements = new Measurements();
  measurements.setInventory(parseInventory(JSON.stringify({ vps: fleet(size) }), "scale"));
  const settings = { ...meshSettings(configSchema.parse({ fleet: { file: "-" } })), sides };
  const started = performance.now();
  const body = [...renderMesh(measurements, settings)].join("");
  const rendering = performance.now() - started;
  const series = body.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
  const server = await MetricsServer.start({
    listen: { host: "127.0.0.1", port: 0 },
    content: {
      notReady: () => [],
      status: () => Promise.resolve({}),
      metrics: async function* () {},
      mesh: async function* () {
        let turn = Math.floor(performance.now());
        // The counts grow from scrape to scrape, whatever was counted: rates, and not zeros, are asked for.
        for (const piece of renderMesh(measurements, settings))
          yield piece.replaceAll(/ 0\n/g, () => ` ${turn++}\n`);
      },
    },
  });
  const config = path.join(directory, "prometheus.yml");
  writeFileSync(config, scrapeConfig(server.port));
  const prometheus = spawn(
    partPath("prometheus"),
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
    ],
    { stdio: "ignore" },
  );
  try {
    const client = new PrometheusClient(`http://127.0.0.1:${prometheusPort}`, 60_000);
    await delay((windowSeconds + scrapeSeconds) * 1_000);
    const graphs: string[] = [];
    for (const type of ["versionedApp", "app"] as const)
      graphs.push(await ask(client, type, prometheus.pid ?? 0));
    const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const zipped = gzipSync(body, { level: constants.Z_BEST_SPEED }).length;
    return [
      String(size).padStart(5),
      sides.padEnd(6),
      String(series).padStart(6),
      mebibytes(body.length).padStart(9),
      mebibytes(zipped).padStart(8),
      `${rendering.toFixed(0)} ms`.padStart(7),
      ...graphs,
    ].join("  ");
  } finally {
    prometheus.kill();
    await new Promise((resolve) => prometheus.once("close", resolve));
    await server.close();
    rmSync(directory, { recursive: true });
  }
}

async function ask(client: PrometheusClient, type: GraphType, pid: number): Promise<string> {
  const before = { cpu: processorSeconds(pid), wall: performance.now() };
  const answers = await askPrometheus(client, {
    type,
    serviceNodes: true,
    namespaces,
    windowSeconds,
    quantile: 0.95,
  });
  const wall = (performance.now() - before.wall) / 1_000;
  const cpu = processorSeconds(pid) - before.cpu;
  const accessible = new Set(namespaces.map((namespace) => `Kubernetes:${namespace}`));
  const { edges } = buildGraph(answers, { type, serviceNodes: true, accessible });
  return `${cpu.toFixed(2)} s, ${wall.toFixed(2)} s, ${edges.length}`;
}

/** utime and stime of proc(5), in hundredths of a second on every Linux. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function fleet(size: number) {
  return Array.from({ length: size }, (_, index) => ({
    name: `vps-${String(index).padStart(4, "0")}`,
    region: ["jp", "hk", "us"][index % 3] ?? "jp",
    addresses: [`10.${index >> 8}.${index & 255}.1`],
  }));
}

function scrapeConfig(port: number): string {
  const job = {
    job_name: "mesh",
    metrics_path: "/metrics/mesh",
    static_configs: [{ targets: [`127.0.0.1:${port}`] }],
  };
  return JSON.stringify({ global: { scrape_interval: `${scrapeSeconds}s` }, scrape_configs: [job] });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { buildExporter } from "../exporter/build";
import { version } from "../exporter/version";
import { SandboxError } from "../sandbox/error";
import { installedParts, type PartName } from "../sandbox/parts/find";
import { configSchema } from "../configSchema";
import { renderChart } from "./chart";
import { measureCounting } from "./counting/measure";
import { record } from "./counting/record";
import { measureUnknownFlood } from "./counting/unknownFlood";
import { allowedCores } from "./cpu";
import { measureFlatness, measureLargeFleet } from "./exporter/measure";
import { figuresOf } from "./gateway/figures";
import { measureGateway } from "./gateway/measure";
import { createVariants } from "./gateway/variants";
import { renderReport } from "./report";
import { judge, resultsSchema, type Results } from "./results";

const checkout = join(__dirname, "..");

const vps = 1_000;
const full = {
  countingRounds: 5,
  share: 1,
  unknown: 1_000_000,
  fleetRounds: 3,
  gatewayRounds: 120,
  pacedRounds: 5,
};
/** `--quick` tries whether everything runs, in a few minutes; its figures are rough, and go to a temporary folder. */
const quick = {
  countingRounds: 1,
  share: 0.05,
  unknown: 50_000,
  fleetRounds: 1,
  gatewayRounds: 6,
  pacedRounds: 1,
};

async function main(isQuick: boolean): Promise<number> {
  const plan = isQuick ? quick : full;
  const [load = 0] = loadavg();
  const [measured, others] = pickCores();
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(others), String(process.pid)]);
  const directory = mkdtempSync(join(tmpdir(), "vpsight-bench-run-"));
  const started = performance.now();
  const say = (text: string) => {
    const seconds = Math.round((performance.now() - started) / 1e3);
    console.log(
      `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, "0")}  ${text}`,
    );
  };
  try {
    say(`measured programs on core ${measured}, everything else on core ${others}; about 12 minutes in all`);
    if (load > 0.5)
      say(`the machine is busy (load average ${load.toFixed(1)}): figures will be worse than they are`);
    const { pathPrefixes, bufferBytes, flushInterval, retries } = accessLogDefaults();
    const format = { pathPrefixes, bufferBytes, flushInterval, retries };

    say(
      `recording: a real Envoy with vpsight's access log, ${vps} VPSes behind PROXY headers, 20 requests each`,
    );
    const bundle = join(folder("exporter"), "exporter.cjs");
    await buildExporter(bundle);
    const recording = await record({
      ...{ vps, requestsPerVps: 20, core: measured, format },
      directory: folder("record"),
    });
    say(`recorded ${recording.records} records in ${recording.batches.length} batches`);

    say(
      "counting: the recording is replayed to each, in turns; figures are records per second of the process's CPU time",
    );
    const counting = await measureCounting(
      { recording, vps, bundle, core: measured, directory: folder("counting") },
      { rounds: plan.countingRounds, share: plan.share },
      say,
    );

    say(
      `unknown flood: ${plan.unknown} addresses outside the inventory; memory before and after, garbage collected both times`,
    );
    const unknownFlood = await measureUnknownFlood(
      recording,
      plan.unknown,
      { vps, bundle, core: measured, directory: folder("flood") },
      (sent) => sent % 250_000 === 0 && say(`${sent} unknown addresses sent`),
    );
    say(`memory grew by ${unknownFlood.growthMiB.toFixed(1)} MiB`);

    say("fleets of 10, 1,000 and 10,000 VPSes: CPU time per record, scrape time, stalls, memory");
    const place = { bundle, core: measured, directory: folder("fleets") };
    const { flatness } = await measureFlatness(place, format.bufferBytes, plan.fleetRounds);
    say(`a record costs ${flatness.toFixed(2)} times as much with 10,000 VPSes as with 10`);
    const { scrapeSeconds, maxStallMs, rssMiB } = await measureLargeFleet(place);

    const variants = createVariants(format);
    say(
      `gateway: ${variants.length} access logs in one Envoy, ${plan.gatewayRounds} rounds in turns; CPU time per request`,
    );
    const turns = await measureGateway(variants, {
      cores: { measured, others },
      rounds: plan.gatewayRounds,
      pacedRounds: plan.pacedRounds,
      seconds: { saturated: 0.25, paced: 1.5 },
      requestsPerSecond: 3_000,
      directory: folder("gateway"),
      onRound: (round) => round % 20 === 0 && say(`gateway, round ${round} of ${plan.gatewayRounds}`),
    });

    const ratio = ratios(counting);
    const results = resultsSchema.parse({
      run: isQuick ? "quick" : "full",
      date: new Date().toISOString(),
      cores: cpus().length,
      cpuModel: cpus()[0]?.model ?? "unknown",
      loadAverage: load,
      versions: versions(),
      ratioToCollector: ratio("collector"),
      ratioToCountingCollector: ratio("countingCollector"),
      ratioToMtail: ratio("mtail"),
      counting,
      unknownFlood,
      fleet10000: { scrapeSeconds, maxStallMs, rssMiB },
      flatness,
      gateway: figuresOf(variants, turns),
    } satisfies Results);
    return publish(results, isQuick);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }

  function folder(name: string): string {
    const path = join(directory, name);
    mkdirSync(path);
    return path;
  }
}

function publish(results: Results, isQuick: boolean): number {
  const goals = judge(results);
  console.log(`\n${renderReport(results, goals).join("\n")}\n`);
  const written = resultsSchema.parse(rounded(results));
  const folder = isQuick ? mkdtempSync(join(tmpdir(), "vpsight-bench-quick-")) : undefined;
  const resultsFile = join(folder ?? __dirname, "results.json");
  const chartFile = join(folder ?? join(checkout, "docs"), "benchmark.svg");
  writeFileSync(resultsFile, JSON.stringify(written, undefined, 2) + "\n");
  writeFileSync(chartFile, renderChart(written));
  console.log(`Wrote ${relative(process.cwd(), resultsFile)} and ${relative(process.cwd(), chartFile)}.`);
  const missed = goals.filter(({ met }) => !met);
  if (missed.length === 0) {
    console.log("All goals are met. Check the two files in when the machine was quiet (`uptime`).");
    return 0;
  }
  console.log(
    `Not met: ${missed.map(({ name }) => name).join(", ")}. Run it again on a quiet machine; docs/benchmark.md says what each figure depends on.`,
  );
  return 1;
}

/** What the component logs unless the stack says otherwise. */
function accessLogDefaults() {
  return configSchema.shape.accessLog.parse({});
}

function pickCores(): [number, number] {
  const [measured, others] = allowedCores();
  if (measured === undefined || others === undefined) {
    throw new SandboxError(
      "The benchmark needs two cores: one for what is measured, one for everything else.",
    );
  }
  return [measured, others];
}

function ratios(counting: Results["counting"]): (name: string) => number {
  const rate = (name: string) => counting.find((one) => one.name === name)?.recordsPerCpuSecond ?? Number.NaN;
  return (name) => rate("exporter") / rate(name);
}

function versions(): Results["versions"] {
  const installed = installedParts();
  const of = (name: PartName) => installed[name]?.version ?? "given by environment";
  return {
    ...{ exporter: version, node: process.versions.node },
    ...{ envoy: of("envoy"), otelCollector: of("otel-collector"), mtail: of("mtail") },
  };
}

/** Four significant digits are more than any of the figures is good for. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) ? value : Number(value.toPrecision(4));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, rounded(inner)]));
  return value;
}

main(process.argv.includes("--quick")).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof SandboxError ? error.message : error);
    process.exit(1);
  },
);

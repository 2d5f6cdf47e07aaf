import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { partPath } from "../../sandbox/parts/find";
import type { RecordedBatch } from "../batch";
import { launchExporter } from "../exporterProgram";
import { freePorts } from "../ports";
import { Program } from "../program";
import { BatchSender } from "../sender";
import { collectorConfig, mtailProgram } from "./configurations";
import { vpsAddress } from "./record";
import type { Recording } from "./recording";

/** A program that counts access records, running on the measured core. */
export interface Contender {
  pid: number;
  /** Has it take at least so many records, and returns how many it took, when all are counted. */
  feed(records: number): Promise<number>;
  /** How many records its own metrics say it has counted. */
  counted(): Promise<number>;
  stop(): Promise<void>;
}

export interface ContenderOptions {
  recording: Recording;
  vps: number;
  core: number;
  /** Path of the exporter's bundle. */
  bundle: string;
  directory: string;
}

/** The exporter with every VPS in its inventory. */
export async function startExporter({ recording, ...options }: ContenderOptions): Promise<Contender> {
  const { program, otlp, http } = await launchForFleet(options);
  return receiverOf(program, otlp, http, "vps_requests_total", recording.batches);
}

/** @param nodeArguments further flags of Node. */
export function launchForFleet(
  { vps, ...options }: Omit<ContenderOptions, "recording">,
  nodeArguments: readonly string[] = [],
) {
  const entries = Array.from({ length: vps }, (_, index) => ({
    ...{ name: `vps-${index}`, region: ["jp", "hk", "us"][index % 3], addresses: [vpsAddress(index)] },
    nodeIds: [String(index + 1)],
  }));
  return launchExporter({ ...options, inventory: JSON.stringify({ vps: entries }), nodeArguments });
}

/**
 * The OpenTelemetry Collector. It gets the records in the form that is cheapest for it: each field an attribute.
 * @param accumulates see `collectorConfig`.
 */
export async function startCollector(
  { recording, core, directory }: ContenderOptions,
  accumulates: boolean,
): Promise<Contender> {
  const [otlp = 0, http = 0] = await freePorts(2);
  const file = join(directory, "collector.yaml");
  writeFileSync(file, JSON.stringify(collectorConfig(otlp, http, accumulates)));
  const program = await Program.start({
    ...{
      name: "collector",
      core,
      command: partPath("otel-collector"),
      log: join(directory, "collector.log"),
    },
    args: ["--config", file],
    ready: async () => (await fetch(`http://127.0.0.1:${http}/metrics`)).ok,
  });
  return receiverOf(program, otlp, http, "requests_total", recording.plainBatches);
}

function receiverOf(
  program: Program,
  otlp: number,
  http: number,
  metric: string,
  batches: readonly RecordedBatch[],
): Contender {
  const sender = new BatchSender(otlp, batches);
  return {
    pid: program.pid,
    feed: (records) => sender.send(records),
    counted: () => sumOf(`http://127.0.0.1:${http}/metrics`, metric),
    stop: async () => {
      sender.close();
      await program.stop();
    },
  };
}

/** mtail, following a file that grows. */
export async function startMtail({ recording, core, directory }: ContenderOptions): Promise<Contender> {
  const [http = 0] = await freePorts(1);
  const programs = join(directory, "mtail");
  mkdirSync(programs);
  writeFileSync(join(programs, "gateway.mtail"), mtailProgram(recording.lines[0] ?? ""));
  const log = join(directory, "followed.jsonl");
  writeFileSync(log, "");
  const program = await Program.start({
    ...{ name: "mtail", core, command: partPath("mtail"), log: join(directory, "mtail.log") },
    args: ["-progs", programs, "-logs", log, "-address", "127.0.0.1", "-port", String(http), "-logtostderr"],
    ready: async () => (await fetch(`http://127.0.0.1:${http}/metrics`)).ok,
  });
  const counted = () => sumOf(`http://127.0.0.1:${http}/metrics`, "requests_total");
  const text = recording.lines.join("\n") + "\n";
  let fed = 0;
  return {
    pid: program.pid,
    counted,
    feed: async (records) => {
      const times = Math.ceil(records / recording.lines.length);
      for (let time = 0; time < times; time += 1) appendFileSync(log, text);
      fed += times * recording.lines.length;
      // Asked seldom: answering costs it time, too.
      for (let waited = 0; (await counted()) < fed; waited += 1) {
        if (waited > 60) throw new Error(`mtail counted ${await counted()} of ${fed} lines`);
        await delay(1_000);
      }
      return times * recording.lines.length;
    },
    stop: () => program.stop(),
  };
}

/** The sum over a metric's series in Prometheus' text format. */
export async function sumOf(url: string, metric: string): Promise<number> {
  const text = await (await fetch(url)).text();
  let sum = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith(`${metric}{`)) sum += Number(line.slice(line.lastIndexOf("} ") + 2).split(" ")[0]);
  }
  return sum;
}

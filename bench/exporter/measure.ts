/**
 * What the exporter costs. Each function starts the exporter's bundle as a process pinned to core 0, sends Envoy-shaped batches
 * over loopback gRPC from this process (pin it to core 1: `taskset -c 1 node --import tsx bench/exporter/measure.ts`), and reads
 * the exporter's CPU time and memory from /proc. By itself it prints all figures:
 *
 *   node --import tsx exporter/build.ts && taskset -c 1 node --import tsx bench/exporter/measure.ts
 *
 * For other benchmarks:
 * - `createBatches(settings)` (batches.ts) makes the batches, and `inventoryText(vps)` the inventory that names their callers;
 *   send each with `freshMessage(batch, serial)`: equal batches are counted once, so a replay must differ in its times.
 * - `new BatchSender(port, batches).send(seconds, recordsPerSecond?)` (sender.ts) drives any OTLP logs receiver.
 * - `measureThroughput`, `measureFlatness` and `measureLargeFleet` give the figures as objects.
 */
import { join } from "node:path";
import { createBatches, inventoryText, type BatchSettings } from "./batches";
import { ExporterProcess } from "./process";
import { longestStallMs, scrape } from "./scrape";
import { BatchSender } from "./sender";

const core = 0;
const warmUpSeconds = 2;

/** Records that the exporter takes per second of its CPU time (all threads, user and kernel). */
export async function measureThroughput(
  bundle: string,
  settings: BatchSettings,
  seconds = 5,
): Promise<number> {
  const exporter = await ExporterProcess.start(bundle, inventoryText(settings.vps), core);
  const sender = new BatchSender(exporter.otlpPort, createBatches(settings));
  try {
    await sender.send(warmUpSeconds);
    const before = exporter.cpuSeconds;
    const records = await sender.send(seconds);
    return records / (exporter.cpuSeconds - before);
  } finally {
    sender.close();
    exporter.stop();
  }
}

/** CPU time per record in microseconds at each size of the fleet, and the largest over the smallest. */
export async function measureFlatness(bundle: string, batchBytes: number, rounds = 3) {
  const sizes = [10, 1_000, 10_000] as const;
  const best = new Map<number, number>();
  // In turns, and the best of each: what else runs on the machine disturbs all sizes alike.
  for (let round = 0; round < rounds; round += 1) {
    for (const vps of sizes) {
      const rate = await measureThroughput(bundle, {
        vps,
        batchBytes,
        records: 100_000,
        unknown: 5,
        inBlocks: 30,
      });
      best.set(vps, Math.min(best.get(vps) ?? Number.POSITIVE_INFINITY, 1e6 / rate));
    }
  }
  const cost = (vps: number) => best.get(vps) ?? Number.NaN;
  return { microsecondsPerRecord: Object.fromEntries(best), flatness: cost(10_000) / cost(10) };
}

/** Scrapes of a large fleet while records come in. */
export interface LargeFleetFigures {
  /** The slowest scrape, with gzip and without. */
  readonly scrapeSeconds: number;
  readonly gzipSeconds: readonly number[];
  readonly plainSeconds: readonly number[];
  readonly plainBytes: number;
  readonly gzipBytes: number;
  /**
   * The longest delay of the exporter's event loop, on which batches are taken, over all scrapes; by Node's
   * monitorEventLoopDelay, whose own interval of 10 ms is part of the figure.
   */
  readonly maxStallMs: number;
  /** Highest resident memory of the whole process, as found after each scrape. */
  readonly rssMiB: number;
  /** The same at its highest ever: reading the inventory at the start takes the most. */
  readonly peakRssMiB: number;
}

/** 10,000 VPSes that call 5 endpoints with 4 codes each, all changed between two scrapes. */
export async function measureLargeFleet(
  bundle: string,
  { vps = 10_000, rounds = 5, recordsPerSecond = 20_000 } = {},
): Promise<LargeFleetFigures> {
  const exporter = await ExporterProcess.start(bundle, inventoryText(vps), core);
  const sender = new BatchSender(
    exporter.otlpPort,
    createBatches({ vps, batchBytes: 65_536, records: 400_000 }),
  );
  const [gzipSeconds, plainSeconds, stalls]: [number[], number[], number[]] = [[], [], []];
  let [plainBytes, gzipBytes, rssMiB] = [0, 0, 0];
  try {
    // Every VPS has every series before the first scrape that counts.
    await sender.send(10);
    await scrape(exporter.httpPort, false);
    const load = sender.send(rounds * 6, recordsPerSecond);
    for (let round = 0; round < rounds; round += 1) {
      const zipped = await scrape(exporter.httpPort, true);
      // The figures about a scrape stand in the next one, which here is a plain one.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const plain = await scrape(exporter.httpPort, false);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      gzipSeconds.push(zipped.seconds);
      plainSeconds.push(plain.seconds);
      // Of the first round, the first scrapes of all, and not what came before them.
      stalls.push(longestStallMs(plain));
      [plainBytes, gzipBytes] = [plain.bytes, zipped.bytes];
      rssMiB = Math.max(rssMiB, exporter.memory.nowMiB);
    }
    stalls.push(longestStallMs(await scrape(exporter.httpPort, false)));
    await load;
    return {
      scrapeSeconds: Math.max(...gzipSeconds, ...plainSeconds),
      gzipSeconds,
      plainSeconds,
      plainBytes,
      gzipBytes,
      maxStallMs: Math.max(...stalls),
      rssMiB,
      peakRssMiB: exporter.memory.peakMiB,
    };
  } finally {
    sender.close();
    exporter.stop();
  }
}

async function main(bundle: string): Promise<void> {
  console.log(`exporter on core ${core}, sender on another, Node ${process.versions.node}, loopback gRPC`);
  for (const batchBytes of [16_384, 65_536, 262_144]) {
    const rate = await measureThroughput(bundle, { vps: 1_000, batchBytes });
    console.log(`batches of ${batchBytes / 1_024} KiB: ${Math.round(rate)} records per CPU-second`);
  }
  console.log("cost by size of fleet:", await measureFlatness(bundle, 65_536));
  console.log("10,000 VPSes, 20,000 records/s:", await measureLargeFleet(bundle));
}

if (require.main === module)
  void main(process.argv[2] ?? join(__dirname, "../../exporter/dist/exporter.cjs"));

import { cpuMicroseconds, peakResidentMiB, residentMiB } from "../cpu";
import { launchExporter } from "../exporterProgram";
import { BatchSender } from "../sender";
import { createBatches, inventoryText, type BatchSettings } from "./batches";
import { longestStallMs, scrape } from "./scrape";

/** Where the exporter runs, and from what. */
export interface Place {
  /** Path of the exporter's bundle. */
  bundle: string;
  core: number;
  directory: string;
}

const warmUpSeconds = 2;

/** Records that the exporter takes per second of its CPU time (all threads, user and kernel). */
async function measureThroughput(place: Place, settings: BatchSettings, seconds = 5): Promise<number> {
  const { program, otlp } = await launchExporter({ ...place, inventory: inventoryText(settings.vps) });
  const sender = new BatchSender(otlp, createBatches(settings));
  try {
    await sender.sendFor(warmUpSeconds);
    const before = cpuMicroseconds(program.pid);
    const records = await sender.sendFor(seconds);
    return records / ((cpuMicroseconds(program.pid) - before) / 1e6);
  } finally {
    sender.close();
    await program.stop();
  }
}

/** CPU time per record in microseconds at each size of the fleet, and the largest over the smallest. */
export async function measureFlatness(place: Place, batchBytes: number, rounds = 3) {
  const sizes = [10, 1_000, 10_000] as const;
  const best = new Map<number, number>();
  // In turns, and the best of each: what else runs on the machine disturbs all sizes alike.
  for (let round = 0; round < rounds; round += 1) {
    for (const vps of sizes) {
      const rate = await measureThroughput(place, {
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
  place: Place,
  { vps = 10_000, rounds = 5, recordsPerSecond = 20_000 } = {},
): Promise<LargeFleetFigures> {
  const { program, otlp, http } = await launchExporter({ ...place, inventory: inventoryText(vps) });
  const sender = new BatchSender(otlp, createBatches({ vps, batchBytes: 65_536, records: 400_000 }));
  const [gzipSeconds, plainSeconds, stalls]: [number[], number[], number[]] = [[], [], []];
  let [plainBytes, gzipBytes, rssMiB] = [0, 0, 0];
  try {
    // Every VPS has every series before the first scrape that counts.
    await sender.sendFor(10);
    await scrape(http, false);
    const load = sender.sendFor(rounds * 6, recordsPerSecond);
    for (let round = 0; round < rounds; round += 1) {
      const zipped = await scrape(http, true);
      // The figures about a scrape stand in the next one, which here is a plain one.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const plain = await scrape(http, false);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      gzipSeconds.push(zipped.seconds);
      plainSeconds.push(plain.seconds);
      // Of the first round, the first scrapes of all, and not what came before them.
      stalls.push(longestStallMs(plain));
      [plainBytes, gzipBytes] = [plain.bytes, zipped.bytes];
      rssMiB = Math.max(rssMiB, residentMiB(program.pid));
    }
    stalls.push(longestStallMs(await scrape(http, false)));
    await load;
    return {
      scrapeSeconds: Math.max(...gzipSeconds, ...plainSeconds),
      gzipSeconds,
      plainSeconds,
      plainBytes,
      gzipBytes,
      maxStallMs: Math.max(...stalls),
      rssMiB,
      peakRssMiB: peakResidentMiB(program.pid),
    };
  } finally {
    sender.close();
    await program.stop();
  }
}

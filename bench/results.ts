import { z } from "zod";

const positive = z.number().positive();

/** One contender that counts access records. */
const counting = z.strictObject({
  name: z.string(),
  title: z.string(),
  /** Median over the rounds. */
  recordsPerCpuSecond: positive,
  residentMiB: positive,
  /** Records it was sent, and those that its own metrics showed afterwards. */
  sent: positive,
  counted: z.number().min(0),
});

/** One gateway that differs in its access log only. */
const gatewayVariant = z.strictObject({
  name: z.string(),
  title: z.string(),
  /** Microseconds of Envoy's CPU time per request, median over the rounds. */
  cpu: positive,
  /** Median over the rounds of this variant's CPU time over that of no log in the same round. */
  ratioToNone: positive,
  /** Milliseconds at the even pace, medians over the rounds. */
  p50Ms: positive,
  p99Ms: positive,
});

/** What `bench/results.json` holds. Ratios are of CPU time, never of wall time. */
export const resultsSchema = z.strictObject({
  /** A `quick` run is a rehearsal with few rounds. */
  run: z.enum(["full", "quick"]),
  /** When the run ended, ISO 8601. */
  date: z.iso.datetime(),
  /** Cores of the machine; each measured program had one of them. */
  cores: z.int().min(2),
  cpuModel: z.string(),
  /** Load average over the last minute when the run began: what else was running. Zero on a quiet machine. */
  loadAverage: z.number().min(0),
  versions: z.strictObject({
    exporter: z.string(),
    node: z.string(),
    envoy: z.string(),
    otelCollector: z.string(),
    mtail: z.string(),
  }),
  /** Records per CPU-second of the exporter over those of the Collector: otlp, signaltometrics, prometheus. */
  ratioToCollector: positive,
  /** The same with the Collector's deltatocumulative processor, without which its counters do not add up. */
  ratioToCountingCollector: positive,
  ratioToMtail: positive,
  counting: z.array(counting),
  unknownFlood: z.strictObject({
    addresses: positive,
    /** Resident memory after a million unknown addresses less that before. */
    growthMiB: z.number(),
    /** Series of `vps_requests_total` with `vps="unknown"` afterwards. */
    unknownSeries: z.int(),
  }),
  fleet10000: z.strictObject({ scrapeSeconds: positive, maxStallMs: positive, rssMiB: positive }),
  /** CPU time per record with 10,000 VPSes over that with 10. */
  flatness: positive,
  gateway: z.strictObject({
    /** CPU time per request with our two loggers over that with Istio's JSON log. */
    ratioToIstioJson: positive,
    /** What our two loggers add to a request over what Istio's JSON log adds. */
    addedRatioToIstioJson: z.number(),
    /** Share of CPU time that a request outside the scope costs more than without any log; 0.02 is 2 %. */
    outOfScopeAdded: z.number(),
    /** p99 with our two loggers less that without a log, milliseconds. */
    addedP99Ms: z.number(),
    variants: z.array(gatewayVariant),
  }),
});

export type Results = z.infer<typeof resultsSchema>;

/** One goal of the project and how it was met. */
export interface Goal {
  name: string;
  value: number;
  /** `atLeast` or `atMost` this. */
  limit: number;
  bound: "atLeast" | "atMost";
  met: boolean;
}

/** The goals that a run is judged by. */
export function judge(results: Results): Goal[] {
  const { unknownFlood, fleet10000, flatness, gateway } = results;
  const goal = (name: string, value: number, bound: Goal["bound"], limit: number): Goal => {
    const met = bound === "atLeast" ? value >= limit : value <= limit;
    return { name, value, limit, bound, met };
  };
  const exact = results.counting.find(({ name }) => name === "exporter");
  return [
    goal("ratioToCollector", results.ratioToCollector, "atLeast", 4),
    goal("exporter's miscount", Math.abs((exact?.sent ?? 0) - (exact?.counted ?? -1)), "atMost", 0),
    goal("unknownFlood.growthMiB", unknownFlood.growthMiB, "atMost", 10),
    goal("fleet10000.scrapeSeconds", fleet10000.scrapeSeconds, "atMost", 1),
    goal("fleet10000.maxStallMs", fleet10000.maxStallMs, "atMost", 50),
    goal("fleet10000.rssMiB", fleet10000.rssMiB, "atMost", 400 / 1.048576),
    goal("flatness", flatness, "atMost", 1.25),
    goal("gateway.ratioToIstioJson", gateway.ratioToIstioJson, "atMost", 1.05),
    goal("gateway.outOfScopeAdded", gateway.outOfScopeAdded, "atMost", 0.02),
  ];
}

/** The middle value; the mean of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values, no median");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** Medians over the rounds of two variants that were measured in the same rounds. */
export function pairedMedian(
  left: readonly number[],
  right: readonly number[],
  combine: (left: number, right: number) => number,
): number {
  if (left.length !== right.length) throw new RangeError("paired values must come from the same rounds");
  return median(left.map((value, round) => combine(value, right[round] ?? Number.NaN)));
}

import { endpoints } from "./endpoint";
import { fastBounds, slowBounds } from "./meshTails";
import { durationBuckets } from "./seriesTable";
import type { VpsSeries } from "./vpsSeries";

/**
 * Upper bounds of Istio's own duration histogram, in milliseconds: 0.5, 1, 5, 10, 25, … 3,600,000. Buckets of several
 * proxies are added up, so they must be exactly these. All bounds of `vps_request_duration_seconds` are among them, so
 * what lies between is read from there and cannot differ from it.
 */
export const meshDurationBounds: readonly number[] = [
  ...fastBounds,
  ...durationBuckets.map((seconds) => Math.round(seconds * 1_000)),
  ...slowBounds,
];

/** All durations of one VPS, whatever the endpoint. */
export interface MeshDurations {
  /** Cumulative, one for each bound; those beyond the last are in `count` alone. */
  readonly cumulative: readonly number[];
  readonly count: number;
  readonly sumMilliseconds: number;
}

/** Adds up what is known of one VPS. */
export function meshDurations({ row, table }: VpsSeries): MeshDurations {
  const shared = new Array<number>(durationBuckets.length + 1).fill(0);
  let sumMilliseconds = 0;
  for (let endpoint = 0; endpoint < endpoints.length; endpoint += 1) {
    sumMilliseconds += table.durationSumMilliseconds(row, endpoint);
    for (let bucket = 0; bucket < shared.length; bucket += 1)
      shared[bucket] = (shared[bucket] ?? 0) + table.durationCount(row, endpoint, bucket);
  }
  const [fast, slow] = [table.tails.fast(row), table.tails.slow(row)];
  const [first = 0, ...rest] = shared;
  const beyond = rest.pop() ?? 0;
  const single = [...fast, first - total(fast), ...rest, ...slow];
  let count = 0;
  const cumulative = single.map((requests) => (count += requests));
  return { cumulative, count: count + beyond - total(slow), sumMilliseconds };
}

function total(counts: Iterable<number>): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}

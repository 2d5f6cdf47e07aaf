import { endpoints } from "./endpoint";
import { MeshTails } from "./meshTails";
import type { Outcome } from "./outcome";
import { expectedOutcomes, methods, outcomeOf } from "./outcome";

/** Upper bounds of the duration buckets, in seconds; a request is in every bucket whose bound it does not exceed. */
export const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** In milliseconds, which is what the gateway sends: whole numbers add up without rounding. */
const bucketMilliseconds = durationBuckets.map((seconds) => Math.round(seconds * 1_000));

/** Numbers kept for each endpoint: one count per bucket and one beyond the last, then sums. */
const bucketCount = durationBuckets.length + 1;
const durationSumAt = bucketCount;
const requestBytesAt = bucketCount + 1;
const responseBytesAt = bucketCount + 2;
const stride = bucketCount + 3;

const expected = expectedOutcomes.map(({ endpoint, method, codes }) => ({
  endpoint: endpoints.indexOf(endpoint),
  outcomes: codes.map((code) => outcomeOf(endpoints.indexOf(endpoint), methods.indexOf(method), code)),
}));

/**
 * All counts of one VPS in one region (or of all unknown callers together), about 3 KB: one block of numbers for what
 * each endpoint has, and a small table for the outcomes that occurred. It goes when the VPS leaves.
 */
export class VpsSeries {
  /** `vps="jp-004",region="jp"`, rendered once. */
  readonly labels: string;
  /** Seconds since 1970 of the latest request; 0 is never. */
  lastRequestSeconds = 0;
  /** Requests that claimed a node id which the inventory does not give this VPS. */
  nodeIdMismatches = 0;
  /** The durations that Kiali's histogram tells apart and this one does not. */
  readonly tails = new MeshTails();
  private readonly numbers = new Float64Array(endpoints.length * stride);
  private readonly outcomes = new Map<Outcome, number>();
  private readonly used = new Set<number>();

  constructor(
    readonly vps: string,
    readonly region: string,
  ) {
    this.labels = renderLabels({ vps, region });
    for (const { endpoint, outcomes } of expected) {
      this.used.add(endpoint);
      for (const outcome of outcomes) this.outcomes.set(outcome, 0);
    }
  }

  /** Indexes (in `endpoints`) of the endpoints that have series, in the order in which they appeared. */
  get usedEndpoints(): Iterable<number> {
    return this.used;
  }

  /** How often each outcome occurred. */
  get requests(): Iterable<readonly [Outcome, number]> {
    return this.outcomes;
  }

  /** Counts a request. */
  countRequest(endpoint: number, outcome: Outcome): void {
    this.used.add(endpoint);
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  /** Puts a duration of 0 or more into the endpoint's histogram. */
  observeDuration(endpoint: number, milliseconds: number): void {
    let bucket = 0;
    while (bucket < bucketMilliseconds.length && milliseconds > (bucketMilliseconds[bucket] ?? 0))
      bucket += 1;
    this.add(endpoint, bucket, 1);
    this.add(endpoint, durationSumAt, milliseconds);
    this.tails.observe(milliseconds);
  }

  /** Adds to the bytes that callers sent. */
  addRequestBytes(endpoint: number, bytes: number): void {
    this.add(endpoint, requestBytesAt, bytes);
  }

  /** Adds to the bytes that callers got. */
  addResponseBytes(endpoint: number, bytes: number): void {
    this.add(endpoint, responseBytesAt, bytes);
  }

  /** Requests in this bucket alone (not cumulative); the bucket after the last bound holds the slower ones. */
  durationCount(endpoint: number, bucket: number): number {
    return this.read(endpoint, bucket);
  }

  /** Sum of all durations in seconds. */
  durationSumSeconds(endpoint: number): number {
    return this.durationSumMilliseconds(endpoint) / 1_000;
  }

  /** The same as it was added up: whole milliseconds, so without rounding. */
  durationSumMilliseconds(endpoint: number): number {
    return this.read(endpoint, durationSumAt);
  }

  /** Bytes that callers sent in bodies. */
  requestBytes(endpoint: number): number {
    return this.read(endpoint, requestBytesAt);
  }

  /** Bytes that callers got in bodies. */
  responseBytes(endpoint: number): number {
    return this.read(endpoint, responseBytesAt);
  }

  private add(endpoint: number, offset: number, amount: number): void {
    const position = endpoint * stride + offset;
    this.numbers[position] = (this.numbers[position] ?? 0) + amount;
  }

  private read(endpoint: number, offset: number): number {
    return this.numbers[endpoint * stride + offset] ?? 0;
  }
}

/** Labels as the text format has them, values escaped: `name="value",…`, without the braces. */
export function renderLabels(labels: Readonly<Record<string, string>>): string {
  const escape = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(value)}"`)
    .join(",");
}

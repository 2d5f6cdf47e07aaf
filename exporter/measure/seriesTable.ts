import { Counters } from "./counters";
import { endpoints } from "./endpoint";
import { MeshTails } from "./meshTails";
import type { Outcome } from "./outcome";
import { endpointOf, expectedOutcomes, methods, outcomeCount, outcomeOf } from "./outcome";

/** Upper bounds of the duration buckets, in seconds; a request is in every bucket whose bound it does not exceed. */
export const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** In milliseconds, which is what the gateway sends: whole numbers add up without rounding. */
const bucketMilliseconds = Float64Array.from(durationBuckets, (seconds) => Math.round(seconds * 1_000));

/**
 * A row has a block of 128 bytes for each endpoint: first numbers of eight bytes (sums, and when the latest request
 * began), then counts of four (duration buckets and one beyond the last, frequent outcomes).
 */
const blockNumbers = 16;
const [durationSumAt, requestBytesAt, responseBytesAt, lastRequestAt] = [0, 1, 2, 3];
const blockCounts = 2 * blockNumbers;
const bucketsAt = 8;
const bucketCount = durationBuckets.length + 1;
const outcomesAt = bucketsAt + bucketCount;
const outcomeColumns = blockCounts - outcomesAt;

/**
 * Numbers before the first row. A large block of memory begins 16 bytes after a page does (glibc's header): with these,
 * blocks begin where lines of the processor's cache do. Elsewhere they do no harm.
 */
const padding = 14;

/** Outcomes that every VPS has from the start on. */
const expected = new Set(
  expectedOutcomes.flatMap(({ endpoint, method, codes }) =>
    codes.map((code) => outcomeOf(endpoints.indexOf(endpoint), methods.indexOf(method), code)),
  ),
);
const expectedEndpoints = new Set(expectedOutcomes.map(({ endpoint }) => endpoints.indexOf(endpoint)));

/**
 * The counts of a whole fleet as one block of numbers, 1.3 KB a row: no objects that the garbage collector has to walk. A
 * large fleet's counts do not fit the processor's caches, so all that a record touches stands side by side.
 *
 * The first outcomes of an endpoint to occur beside the expected ones get columns too, the same for all rows; rarer ones
 * are kept apart.
 */
export class SeriesTable {
  private readonly numbers: Float64Array;
  private readonly counts: Counters;
  private readonly mismatches: Float64Array;
  /** Column of each outcome in its endpoint's block, from 1 on; 0 is none. */
  private readonly columnOf = new Uint8Array(outcomeCount);
  /** The outcome of each column, by endpoint. */
  private readonly outcomes: readonly Outcome[][] = endpoints.map(() => []);
  private readonly rare = new Map<number, Map<Outcome, number>>();
  /** The durations that Istio's histogram tells apart and this one does not. */
  readonly tails: MeshTails;

  /** @param rows how many rows there are; all start at 0. */
  constructor(rows: number) {
    this.numbers = new Float64Array(padding + rows * endpoints.length * blockNumbers);
    this.counts = new Counters(new Uint32Array(this.numbers.buffer));
    this.mismatches = new Float64Array(rows);
    this.tails = new MeshTails(rows);
    for (const outcome of expected) this.addColumn(outcome);
  }

  /** Takes a row over from an older table. */
  copyRow(from: SeriesTable, fromRow: number, row: number): void {
    for (const endpoint of endpoints.keys()) {
      const source = numbersOf(fromRow, endpoint);
      this.numbers.set(from.numbers.subarray(source, source + bucketsAt / 2), numbersOf(row, endpoint));
      for (let bucket = 0; bucket < bucketCount; bucket += 1)
        this.counts.add(
          countsOf(row, endpoint) + bucketsAt + bucket,
          from.durationCount(fromRow, endpoint, bucket),
        );
    }
    this.mismatches[row] = from.nodeIdMismatches(fromRow);
    this.tails.copyRow(from.tails, fromRow, row);
    from.eachOutcome(fromRow, (outcome, count) => {
      if (count > 0) this.addOutcome(row, outcome, count);
    });
  }

  /** Reads both halves of a block, so that they are in the processor's cache when they are counted in. */
  touch(row: number, endpoint: number): number {
    const at = numbersOf(row, endpoint);
    return (this.numbers[at] ?? 0) + (this.numbers[at + blockNumbers / 2] ?? 0);
  }

  /** Counts a request. */
  countRequest(row: number, endpoint: number, outcome: Outcome): void {
    const column = this.columnOf[outcome] ?? 0;
    if (column === 0) this.addOutcome(row, outcome, 1);
    else this.counts.add(countsOf(row, endpoint) + outcomesAt - 1 + column);
  }

  /** Puts a duration of 0 or more into the endpoint's histogram. */
  observeDuration(row: number, endpoint: number, milliseconds: number): void {
    let bucket = 0;
    while (bucket < bucketMilliseconds.length && milliseconds > (bucketMilliseconds[bucket] ?? 0))
      bucket += 1;
    this.counts.add(countsOf(row, endpoint) + bucketsAt + bucket);
    this.add(row, endpoint, durationSumAt, milliseconds);
    this.tails.observe(row, milliseconds);
  }

  /** Adds to the bytes that callers sent. */
  addRequestBytes(row: number, endpoint: number, bytes: number): void {
    this.add(row, endpoint, requestBytesAt, bytes);
  }

  /** Adds to the bytes that callers got. */
  addResponseBytes(row: number, endpoint: number, bytes: number): void {
    this.add(row, endpoint, responseBytesAt, bytes);
  }

  /** Counts a request that claimed a node id which the inventory does not give the VPS. */
  countMismatch(row: number): void {
    this.mismatches[row] = (this.mismatches[row] ?? 0) + 1;
  }

  /**
   * Notes when a request began. Batches of several gateways arrive out of order: the latest request counts.
   * @param seconds more than 0.
   */
  noteRequest(row: number, endpoint: number, seconds: number): void {
    const at = numbersOf(row, endpoint) + lastRequestAt;
    if (seconds > (this.numbers[at] ?? 0)) this.numbers[at] = seconds;
  }

  /** Seconds since 1970 of the latest request; 0 is never. */
  lastRequestSeconds(row: number): number {
    let latest = 0;
    for (let endpoint = 0; endpoint < endpoints.length; endpoint += 1)
      latest = Math.max(latest, this.read(row, endpoint, lastRequestAt));
    return latest;
  }

  /** Requests that claimed a node id which the inventory does not give the VPS. */
  nodeIdMismatches(row: number): number {
    return this.mismatches[row] ?? 0;
  }

  /** Whether the endpoint has series: a node is expected to call it, or something did. */
  isUsed(row: number, endpoint: number): boolean {
    return expectedEndpoints.has(endpoint) || this.read(row, endpoint, lastRequestAt) > 0;
  }

  /** How often each outcome occurred: the expected ones, and all others that did. */
  eachOutcome(row: number, visit: (outcome: Outcome, count: number) => void): void {
    for (let endpoint = 0; endpoint < endpoints.length; endpoint += 1) {
      const at = countsOf(row, endpoint) + outcomesAt;
      this.outcomes[endpoint]?.forEach((outcome, column) => {
        const count = this.counts.read(at + column);
        if (count > 0 || expected.has(outcome)) visit(outcome, count);
      });
    }
    this.rare.get(row)?.forEach((count, outcome) => visit(outcome, count));
  }

  /** Requests in this bucket alone (not cumulative); the bucket after the last bound holds the slower ones. */
  durationCount(row: number, endpoint: number, bucket: number): number {
    return this.counts.read(countsOf(row, endpoint) + bucketsAt + bucket);
  }

  /** Sum of all durations in seconds. */
  durationSumSeconds(row: number, endpoint: number): number {
    return this.durationSumMilliseconds(row, endpoint) / 1_000;
  }

  /** The same as it was added up: whole milliseconds, so without rounding. */
  durationSumMilliseconds(row: number, endpoint: number): number {
    return this.read(row, endpoint, durationSumAt);
  }

  /** Bytes that callers sent in bodies. */
  requestBytes(row: number, endpoint: number): number {
    return this.read(row, endpoint, requestBytesAt);
  }

  /** Bytes that callers got in bodies. */
  responseBytes(row: number, endpoint: number): number {
    return this.read(row, endpoint, responseBytesAt);
  }

  private addOutcome(row: number, outcome: Outcome, amount: number): void {
    const endpoint = endpointOf(outcome);
    if (this.columnOf[outcome] === 0 && (this.outcomes[endpoint]?.length ?? 0) < outcomeColumns)
      this.addColumn(outcome);
    const column = this.columnOf[outcome] ?? 0;
    if (column > 0) {
      this.counts.add(countsOf(row, endpoint) + outcomesAt - 1 + column, amount);
      return;
    }
    let counts = this.rare.get(row);
    if (counts === undefined) this.rare.set(row, (counts = new Map<Outcome, number>()));
    counts.set(outcome, (counts.get(outcome) ?? 0) + amount);
  }

  private addColumn(outcome: Outcome): void {
    this.columnOf[outcome] = this.outcomes[endpointOf(outcome)]?.push(outcome) ?? 0;
  }

  private add(row: number, endpoint: number, offset: number, amount: number): void {
    const at = numbersOf(row, endpoint) + offset;
    this.numbers[at] = (this.numbers[at] ?? 0) + amount;
  }

  private read(row: number, endpoint: number, offset: number): number {
    return this.numbers[numbersOf(row, endpoint) + offset] ?? 0;
  }
}

/** Where a block begins among the numbers … */
const numbersOf = (row: number, endpoint: number) =>
  padding + (row * endpoints.length + endpoint) * blockNumbers;
/** … and among the counts. */
const countsOf = (row: number, endpoint: number) => 2 * numbersOf(row, endpoint);

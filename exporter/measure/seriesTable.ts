import { endpoints } from "./endpoint";
import type { Outcome } from "./outcome";
import { expectedOutcomes, methods, outcomeCount, outcomeOf } from "./outcome";

/** Upper bounds of the duration buckets, in seconds; a request is in every bucket whose bound it does not exceed. */
export const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** In milliseconds, which is what the gateway sends: whole numbers add up without rounding. */
const bucketMilliseconds = Float64Array.from(durationBuckets, (seconds) => Math.round(seconds * 1_000));

/** A row begins with figures of the whole VPS, then has a column for each frequent outcome … */
const lastRequestAt = 0;
const mismatchesAt = 1;
const usedEndpointsAt = 2;
const outcomesAt = 3;
const outcomeColumns = 32;
/** … then, for each endpoint, a count per duration bucket and one beyond the last, then sums. */
const endpointsAt = outcomesAt + outcomeColumns;
const bucketCount = durationBuckets.length + 1;
const durationSumAt = bucketCount;
const requestBytesAt = bucketCount + 1;
const responseBytesAt = bucketCount + 2;
const endpointStride = bucketCount + 3;
const rowLength = endpointsAt + endpoints.length * endpointStride;

/** Outcomes that every VPS has from the start on, each in the column of its index. */
const expected = expectedOutcomes.flatMap(({ endpoint, method, codes }) =>
  codes.map((code) => outcomeOf(endpoints.indexOf(endpoint), methods.indexOf(method), code)),
);
const expectedEndpoints = expectedOutcomes.reduce(
  (bits, { endpoint }) => bits | (1 << endpoints.indexOf(endpoint)),
  0,
);

/**
 * The counts of a whole fleet as one block of numbers, 1.6 KB a row: no objects that the garbage collector has to
 * walk, and what one record touches lies together.
 *
 * The first outcomes to occur beside the expected ones get columns too, the same for all rows; rarer ones are kept apart.
 */
export class SeriesTable {
  private readonly numbers: Float64Array;
  /** Column of each outcome, from 1 on; 0 is none. */
  private readonly columnOf = new Uint8Array(outcomeCount);
  /** The outcome of each column. */
  private readonly outcomes: Outcome[] = [];
  private readonly rare = new Map<number, Map<Outcome, number>>();

  /** @param rows how many rows there are; all start at 0. */
  constructor(rows: number) {
    this.numbers = new Float64Array(rows * rowLength);
    for (const outcome of expected) this.addColumn(outcome);
    for (let row = 0; row < rows; row += 1)
      this.numbers[row * rowLength + usedEndpointsAt] = expectedEndpoints;
  }

  /** Takes a row over from an older table. */
  copyRow(from: SeriesTable, fromRow: number, row: number): void {
    this.numbers.set(from.numbers.subarray(fromRow * rowLength, (fromRow + 1) * rowLength), row * rowLength);
    this.numbers.fill(0, row * rowLength + outcomesAt, row * rowLength + endpointsAt);
    from.eachOutcome(fromRow, (outcome, count) => {
      if (count > 0) this.addOutcome(row, outcome, count);
    });
  }

  /** Counts a request. */
  countRequest(row: number, endpoint: number, outcome: Outcome): void {
    const { numbers } = this;
    const at = row * rowLength;
    numbers[at + usedEndpointsAt] = (numbers[at + usedEndpointsAt] ?? 0) | (1 << endpoint);
    const column = this.columnOf[outcome] ?? 0;
    if (column === 0) this.addOutcome(row, outcome, 1);
    else numbers[at + outcomesAt - 1 + column] = (numbers[at + outcomesAt - 1 + column] ?? 0) + 1;
  }

  /** Puts a duration of 0 or more into the endpoint's histogram. */
  observeDuration(row: number, endpoint: number, milliseconds: number): void {
    let bucket = 0;
    while (bucket < bucketMilliseconds.length && milliseconds > (bucketMilliseconds[bucket] ?? 0))
      bucket += 1;
    this.add(row, endpoint, bucket, 1);
    this.add(row, endpoint, durationSumAt, milliseconds);
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
    const at = row * rowLength + mismatchesAt;
    this.numbers[at] = (this.numbers[at] ?? 0) + 1;
  }

  /** Notes when a request began. Batches of several gateways arrive out of order: the latest request counts. */
  noteRequest(row: number, seconds: number): void {
    const at = row * rowLength + lastRequestAt;
    if (seconds > (this.numbers[at] ?? 0)) this.numbers[at] = seconds;
  }

  /** Seconds since 1970 of the latest request; 0 is never. */
  lastRequestSeconds(row: number): number {
    return this.numbers[row * rowLength + lastRequestAt] ?? 0;
  }

  /** Requests that claimed a node id which the inventory does not give the VPS. */
  nodeIdMismatches(row: number): number {
    return this.numbers[row * rowLength + mismatchesAt] ?? 0;
  }

  /** Whether the endpoint has series: a node is expected to call it, or something did. */
  isUsed(row: number, endpoint: number): boolean {
    return ((this.numbers[row * rowLength + usedEndpointsAt] ?? 0) & (1 << endpoint)) !== 0;
  }

  /** How often each outcome occurred: the expected ones, and all others that did. */
  eachOutcome(row: number, visit: (outcome: Outcome, count: number) => void): void {
    const at = row * rowLength + outcomesAt;
    this.outcomes.forEach((outcome, column) => {
      const count = this.numbers[at + column] ?? 0;
      if (column < expected.length || count > 0) visit(outcome, count);
    });
    this.rare.get(row)?.forEach((count, outcome) => visit(outcome, count));
  }

  /** Requests in this bucket alone (not cumulative); the bucket after the last bound holds the slower ones. */
  durationCount(row: number, endpoint: number, bucket: number): number {
    return this.read(row, endpoint, bucket);
  }

  /** Sum of all durations in seconds. */
  durationSumSeconds(row: number, endpoint: number): number {
    return this.read(row, endpoint, durationSumAt) / 1_000;
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
    if (this.columnOf[outcome] === 0 && this.outcomes.length < outcomeColumns) this.addColumn(outcome);
    const column = this.columnOf[outcome] ?? 0;
    if (column > 0) {
      const at = row * rowLength + outcomesAt - 1 + column;
      this.numbers[at] = (this.numbers[at] ?? 0) + amount;
      return;
    }
    let counts = this.rare.get(row);
    if (counts === undefined) this.rare.set(row, (counts = new Map<Outcome, number>()));
    counts.set(outcome, (counts.get(outcome) ?? 0) + amount);
  }

  private addColumn(outcome: Outcome): void {
    this.columnOf[outcome] = this.outcomes.push(outcome);
  }

  private add(row: number, endpoint: number, offset: number, amount: number): void {
    const at = row * rowLength + endpointsAt + endpoint * endpointStride + offset;
    this.numbers[at] = (this.numbers[at] ?? 0) + amount;
  }

  private read(row: number, endpoint: number, offset: number): number {
    return this.numbers[row * rowLength + endpointsAt + endpoint * endpointStride + offset] ?? 0;
  }
}

/** Istio's duration bounds below those of `vps_request_duration_seconds`, in milliseconds. */
export const fastBounds = [0.5, 1] as const;
/** … and above them. */
export const slowBounds = [60_000, 300_000, 600_000, 1_800_000, 3_600_000] as const;

const stride = fastBounds.length + slowBounds.length;
const fastest = Math.max(...fastBounds);
/** The last bound of `vps_request_duration_seconds`, in milliseconds. */
const slowestShared = 30_000;

/**
 * What Istio's histogram tells apart and ours does not: the very fast and the very slow requests of each VPS, over all
 * endpoints. Seven numbers a row; all other durations pass by with two comparisons.
 */
export class MeshTails {
  private readonly counts: Float64Array;

  /** @param rows how many VPSes there are; all start at 0. */
  constructor(rows: number) {
    this.counts = new Float64Array(rows * stride);
  }

  /** Notes a duration in milliseconds. */
  observe(row: number, milliseconds: number): void {
    if (milliseconds <= fastest) this.add(row * stride, milliseconds, fastBounds);
    else if (milliseconds > slowestShared)
      this.add(row * stride + fastBounds.length, milliseconds, slowBounds);
  }

  /** Takes a row over from older ones. */
  copyRow(from: MeshTails, fromRow: number, row: number): void {
    this.counts.set(from.counts.subarray(fromRow * stride, (fromRow + 1) * stride), row * stride);
  }

  /** A row's requests up to each of `fastBounds`, not cumulative. */
  fast(row: number): Float64Array {
    return this.counts.subarray(row * stride, row * stride + fastBounds.length);
  }

  /** A row's requests up to each of `slowBounds`, not cumulative; slower ones are in none. */
  slow(row: number): Float64Array {
    return this.counts.subarray(row * stride + fastBounds.length, (row + 1) * stride);
  }

  private add(first: number, milliseconds: number, bounds: readonly number[]): void {
    const bucket = bounds.findIndex((bound) => milliseconds <= bound);
    if (bucket >= 0) this.counts[first + bucket] = (this.counts[first + bucket] ?? 0) + 1;
  }
}

/** Istio's duration bounds below those of `vps_request_duration_seconds`, in milliseconds. */
export const fastBounds = [0.5, 1] as const;
/** … and above them. */
export const slowBounds = [60_000, 300_000, 600_000, 1_800_000, 3_600_000] as const;

const fastest = Math.max(...fastBounds);
/** The last bound of `vps_request_duration_seconds`, in milliseconds. */
const slowestShared = 30_000;

/**
 * What Istio's histogram tells apart and ours does not: the very fast and the very slow requests of one VPS, over all
 * endpoints. Seven numbers; all other durations pass by with two comparisons.
 */
export class MeshTails {
  private readonly counts = new Float64Array(fastBounds.length + slowBounds.length);

  /** Notes a duration in milliseconds. */
  observe(milliseconds: number): void {
    if (milliseconds <= fastest) this.add(milliseconds, fastBounds, 0);
    else if (milliseconds > slowestShared) this.add(milliseconds, slowBounds, fastBounds.length);
  }

  /** Requests up to each of `fastBounds`, not cumulative. */
  get fast(): Float64Array {
    return this.counts.subarray(0, fastBounds.length);
  }

  /** Requests up to each of `slowBounds`, not cumulative; slower ones are in none. */
  get slow(): Float64Array {
    return this.counts.subarray(fastBounds.length);
  }

  private add(milliseconds: number, bounds: readonly number[], offset: number): void {
    const bucket = bounds.findIndex((bound) => milliseconds <= bound);
    if (bucket >= 0) this.counts[offset + bucket] = (this.counts[offset + bucket] ?? 0) + 1;
  }
}

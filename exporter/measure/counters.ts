const span = 2 ** 32;

/**
 * Whole counts in four bytes each, exact beyond 2^32 too: what a place cannot hold is carried in a map, which few ever
 * enter.
 */
export class Counters {
  private readonly carried = new Map<number, number>();

  /** @param low where the counts stand; all 0 at the start. */
  constructor(private readonly low: Uint32Array) {}

  /** @param amount a whole number from 0 to 2^52. */
  add(at: number, amount = 1): void {
    const sum = (this.low[at] ?? 0) + amount;
    this.low[at] = sum;
    if (sum >= span) this.carried.set(at, (this.carried.get(at) ?? 0) + Math.floor(sum / span) * span);
  }

  /** The count at a place. */
  read(at: number): number {
    return (this.low[at] ?? 0) + (this.carried.get(at) ?? 0);
  }
}

import { crc32 } from "node:zlib";
import { numberColumn } from "./batch";
import type { Batch } from "./batch";

/** How many batches are remembered: some minutes of a busy gateway, in about 4 MB. */
const mostRemembered = 32_768;
/** How long, in milliseconds: longer than a gateway tries again. */
const longestRemembered = 10 * 60 * 1_000;

/**
 * Knows the batches that were taken lately. A gateway whose answer was lost sends the same bytes again, and the records
 * must not count twice.
 *
 * A batch is told by its length, a checksum, and the times of its first and last record to the microsecond. Without any
 * time it is told by nothing: two of the kind may be equal and both true.
 */
export class RecentBatches {
  private readonly takenAt = new Map<string, number>();

  /** @param clock the present in milliseconds; default a clock that nobody sets. */
  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** Whether these bytes were taken before. */
  has(batch: Batch): boolean {
    if (!batch.timed) return false;
    const taken = this.takenAt.get(keyOf(batch));
    return taken !== undefined && this.clock() - taken <= longestRemembered;
  }

  /** The batch was taken. */
  add(batch: Batch): void {
    if (!batch.timed) return;
    const now = this.clock();
    const key = keyOf(batch);
    // Deleted first, so that the order of the map stays the order of time.
    this.takenAt.delete(key);
    this.takenAt.set(key, now);
    for (const [oldest, taken] of this.takenAt) {
      if (this.takenAt.size <= mostRemembered && now - taken <= longestRemembered) break;
      this.takenAt.delete(oldest);
    }
  }
}

function keyOf(batch: Batch): string {
  const first = batch.number(0, numberColumn.timeSeconds);
  const last = batch.number(batch.size - 1, numberColumn.timeSeconds);
  return `${batch.message.length} ${crc32(batch.message)} ${first} ${last}`;
}

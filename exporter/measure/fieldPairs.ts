import { PairTable } from "../pairTable";
import type { Batch } from "../receive/batch";
import { textFields } from "../receive/batch";

/**
 * Remembers a small number for what two text fields of a record say together, without making strings of them. A cache, see
 * `PairTable`: a pair may be gone at any time.
 */
export class FieldPairs {
  private readonly table: PairTable;

  /**
   * @param entries a power of two; 64 bytes each.
   * @param first column of the one field, from `textColumn`.
   * @param second column of the other.
   */
  constructor(
    entries: number,
    private readonly first: number,
    private readonly second: number,
  ) {
    this.table = new PairTable(entries);
  }

  /** The hash of the record's pair, for the other methods. */
  hashOf(batch: Batch, record: number): number {
    const { ranges, view } = batch;
    const one = positionOf(record, this.first);
    const other = positionOf(record, this.second);
    return this.table.hashOf(
      view,
      ranges[one] ?? 0,
      ranges[one + 1] ?? 0,
      ranges[other] ?? 0,
      ranges[other + 1] ?? 0,
    );
  }

  /** See `PairTable.touch`. */
  touch(hash: number): number {
    return this.table.touch(hash);
  }

  /** @returns what was set for the record's pair, or -1. */
  find(batch: Batch, record: number, hash: number): number {
    const { ranges, view } = batch;
    const one = positionOf(record, this.first);
    const other = positionOf(record, this.second);
    return this.table.find(
      hash,
      view,
      ranges[one] ?? 0,
      ranges[one + 1] ?? 0,
      ranges[other] ?? 0,
      ranges[other + 1] ?? 0,
    );
  }

  /** @param value 0 or more. */
  set(batch: Batch, record: number, hash: number, value: number): void {
    const { ranges, view } = batch;
    const one = positionOf(record, this.first);
    const other = positionOf(record, this.second);
    this.table.set(
      hash,
      view,
      ranges[one] ?? 0,
      ranges[one + 1] ?? 0,
      ranges[other] ?? 0,
      ranges[other + 1] ?? 0,
      value,
    );
  }
}

/** Where a text's start stands in `ranges`; its end is the next number. */
const positionOf = (record: number, column: number) => (record * textFields.length + column) * 2;

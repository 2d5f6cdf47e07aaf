import type { AccessRecord } from "./record";

/** A record's text fields, in the order of their columns. */
export const textFields = ["clientAddress", "method", "path", "nodeId"] as const;
/** A record's number fields, in the order of their columns. */
export const numberFields = [
  "timeSeconds",
  "code",
  "durationMilliseconds",
  "requestBytes",
  "responseBytes",
] as const;

/** Column of each text field. */
export const textColumn = { clientAddress: 0, method: 1, path: 2, nodeId: 3 } as const;
/** Column of each number field. */
export const numberColumn = {
  timeSeconds: 0,
  code: 1,
  durationMilliseconds: 2,
  requestBytes: 3,
  responseBytes: 4,
} as const;

/** What stands in a number's column when the record has none. What is no whole number from 0 up is NaN. */
export const missing = -1;

/**
 * What a batch holds, as columns: where each text stands in the message, and each number. At a million records a second,
 * objects and strings would cost more than everything else.
 *
 * The decoder uses its columns again: a batch is good until the next one is decoded.
 */
export class Batch {
  /** Log records without any of our attributes: not from the gateway's access log. */
  foreign = 0;
  /** How many records of the access log there are. */
  size = 0;
  /** Whether any log record, ours or not, carries a time. */
  timed = false;
  message: Uint8Array = new Uint8Array();
  /** The message once more, for reading four bytes at a time. */
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Start and end of each text in the message, for each record and text field; equal when it is not known. */
  ranges = new Int32Array(0);
  /** `numberFields.length` numbers for each record. */
  numbers = new Float64Array(0);

  /** Begins anew. */
  reset(message: Uint8Array): void {
    this.message = message;
    this.view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    this.foreign = 0;
    this.size = 0;
    this.timed = false;
  }

  /** Makes room for one record more. */
  reserve(): void {
    const rows = this.size + 1;
    if (rows * numberFields.length <= this.numbers.length) return;
    const room = Math.max(256, rows * 2);
    const ranges = new Int32Array(room * textFields.length * 2);
    const numbers = new Float64Array(room * numberFields.length);
    ranges.set(this.ranges);
    numbers.set(this.numbers);
    this.ranges = ranges;
    this.numbers = numbers;
  }

  /** A text field of a record as a string; empty when not known. */
  text(record: number, column: number): string {
    const at = (record * textFields.length + column) * 2;
    const start = this.ranges[at] ?? 0;
    const end = this.ranges[at + 1] ?? 0;
    return Buffer.from(this.message.buffer, this.message.byteOffset + start, end - start).toString("utf8");
  }

  /** A number field of a record: `missing`, NaN, or 0 and up. */
  number(record: number, column: number): number {
    return this.numbers[record * numberFields.length + column] ?? missing;
  }

  /** One record as an object, for tests and tools. */
  record(record: number): AccessRecord {
    const numberOf = (column: number) => {
      const value = this.number(record, column);
      return value === missing ? undefined : value;
    };
    return {
      timeSeconds: numberOf(numberColumn.timeSeconds),
      clientAddress: this.text(record, textColumn.clientAddress),
      method: this.text(record, textColumn.method),
      path: this.text(record, textColumn.path),
      nodeId: this.text(record, textColumn.nodeId),
      code: numberOf(numberColumn.code),
      durationMilliseconds: numberOf(numberColumn.durationMilliseconds),
      requestBytes: numberOf(numberColumn.requestBytes),
      responseBytes: numberOf(numberColumn.responseBytes),
    };
  }

  /** All records as objects, for tests and tools. */
  get records(): AccessRecord[] {
    return Array.from({ length: this.size }, (_, record) => this.record(record));
  }
}

import { Batch, missing, numberColumn, numberFields, textColumn, textFields } from "./batch";
import type { AttributeKey } from "./keys";
import { expectedKeys, findKey, sameKey } from "./keys";

/**
 * A narrow reader of OTLP's `ExportLogsServiceRequest`. It walks
 * resource_logs > scope_logs > log_records > body and attributes and skips all else by its length: what the
 * exporter does not need is never turned into objects, and nesting cannot grow the stack.
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/logs/v1/logs.proto
 */

/** Why a batch was refused. */
export type BatchFault = "malformed" | "too_many_records";

/** Bytes that are no batch this exporter takes. Says nothing about the content. */
export class BatchError extends Error {
  override readonly name = "BatchError";

  constructor(
    readonly fault: BatchFault,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Most records that one batch may hold. An empty record takes two bytes on the wire and eighty in memory, so the
 * limit on bytes alone would not bound memory. Envoy sends about 100 at once, a Collector 8,192 by default.
 */
export const maxRecordsPerBatch = 65_536;

const lengthDelimited = 2;
/** The way to a record: resource_logs of the request, scope_logs, log_records. */
const levels = [tag(1), tag(2), tag(2)] as const;
const tags = {
  logRecord: { timeUnixNano: tag(1, 1), body: tag(5), attributes: tag(6) },
  keyValue: { key: tag(1), value: tag(2) },
  anyValue: { stringValue: tag(1) },
} as const;

/** In place of a text column: the record's line, which goes to many columns. */
const bodyColumn = -1;
const space = 0x20;
/** Envoy's word for what it does not know. */
const dash = 0x2d;
/** Columns of the numbers in the body's line, in the order of `accessRecordLine`. */
const lineNumbers = [
  numberColumn.code,
  numberColumn.durationMilliseconds,
  numberColumn.requestBytes,
  numberColumn.responseBytes,
];

function tag(field: number, wireType = lengthDelimited): number {
  return (field << 3) | wireType;
}

/**
 * Reads a whole batch before anything of it is counted: it is taken as a whole or not at all.
 * @param message the serialised `ExportLogsServiceRequest`.
 * @returns the batch, which is good until the next call.
 * @throws BatchError
 */
export function decodeBatch(message: Uint8Array): Batch {
  decoder.decode(message);
  return decoder.batch;
}

function malformed(): BatchError {
  return new BatchError("malformed", "the message is not an OTLP ExportLogsServiceRequest");
}

class BatchDecoder {
  readonly batch = new Batch();
  private message: Uint8Array = new Uint8Array();
  private view: DataView = new DataView(new ArrayBuffer(0));
  private position = 0;
  /**
   * The key that stood at each place of the record before. A gateway writes its attributes in one order, so comparing
   * with this one key nearly always suffices.
   */
  private readonly expected: (AttributeKey | undefined)[] = [...expectedKeys];

  decode(message: Uint8Array): void {
    this.batch.reset(message);
    this.message = message;
    this.view = this.batch.view;
    this.position = 0;
    this.readLevel(0, message.length);
  }

  /** Reads a message around the records, entering the fields that lead to them and skipping the others. */
  private readLevel(level: number, end: number): void {
    const wanted = levels[level];
    while (this.position < end) {
      const found = this.readVarint();
      if (found !== wanted) this.skip(found);
      else if (level + 1 === levels.length) this.readRecord(this.endOfField(end));
      else this.readLevel(level + 1, this.endOfField(end));
    }
    if (this.position !== end) throw malformed();
  }

  private readRecord(end: number): void {
    const { batch } = this;
    if (batch.size + batch.foreign >= maxRecordsPerBatch) {
      throw new BatchError("too_many_records", `the batch has more than ${maxRecordsPerBatch} records`);
    }
    batch.reserve();
    const { ranges, numbers, size } = batch;
    const rangesAt = size * textFields.length * 2;
    const numbersAt = size * numberFields.length;
    for (let at = rangesAt; at < rangesAt + textFields.length * 2; at += 1) ranges[at] = 0;
    for (let at = numbersAt; at < numbersAt + numberFields.length; at += 1) numbers[at] = missing;
    let ours = false;
    let place = 0;
    while (this.position < end) {
      const found = this.readVarint();
      if (found === tags.logRecord.attributes) {
        const attributeEnd = this.endOfField(end);
        if (this.readExpected(place, attributeEnd) || this.readAttribute(place, attributeEnd)) ours = true;
        place += 1;
      } else if (found === tags.logRecord.body) this.readText(this.endOfField(end), bodyColumn);
      else if (found === tags.logRecord.timeUnixNano) this.readTime(numbersAt);
      else this.skip(found);
    }
    if (this.position !== end) throw malformed();
    if (ours) batch.size += 1;
    else batch.foreign += 1;
  }

  /** Reads an attribute if it is written as Envoy does (key, then a short string) with the key expected at this place. */
  private readExpected(place: number, end: number): boolean {
    const { message, position } = this;
    const expected = this.expected[place];
    if (expected === undefined) return false;
    const keyStart = position + 2;
    const valueAt = keyStart + expected.bytes.length;
    const textStart = valueAt + 4;
    const textLength = end - textStart;
    // Lengths of one byte each: 127 at most, the value's own being two more than its text's.
    if (textLength < 0 || textLength > 125) return false;
    const asEnvoyWrites =
      message[position] === tags.keyValue.key &&
      message[position + 1] === expected.bytes.length &&
      message[valueAt] === tags.keyValue.value &&
      message[valueAt + 1] === textLength + 2 &&
      message[valueAt + 2] === tags.anyValue.stringValue &&
      message[valueAt + 3] === textLength &&
      sameKey(message, keyStart, expected);
    if (!asEnvoyWrites) return false;
    this.setText(expected.column, textStart, end);
    this.position = end;
    return true;
  }

  /** Reads an attribute in any form that protobuf allows. @returns whether it is one of ours. */
  private readAttribute(place: number, end: number): boolean {
    let key: AttributeKey | undefined;
    let valueStart = -1;
    let valueEnd = -1;
    while (this.position < end) {
      const found = this.readVarint();
      if (found === tags.keyValue.key) {
        const keyEnd = this.endOfField(end);
        key = findKey(this.message, this.position, keyEnd);
        this.position = keyEnd;
      } else if (found === tags.keyValue.value) {
        // Protobuf lets fields come in any order: the value is read when the key is known.
        valueEnd = this.endOfField(end);
        valueStart = this.position;
        this.position = valueEnd;
      } else this.skip(found);
    }
    if (this.position !== end) throw malformed();
    if (place < expectedKeys.length) this.expected[place] = key;
    if (key === undefined) return false;
    if (valueStart >= 0) {
      this.position = valueStart;
      this.readText(valueEnd, key.column);
      this.position = end;
    }
    return true;
  }

  /** Reads an AnyValue, which counts only if it is text: an attribute's, or with `bodyColumn` the record's line. */
  private readText(end: number, column: number): void {
    while (this.position < end) {
      const found = this.readVarint();
      if (found === tags.anyValue.stringValue) {
        const textEnd = this.endOfField(end);
        if (column === bodyColumn) this.setLine(this.position, textEnd);
        else this.setText(column, this.position, textEnd);
        this.position = textEnd;
      } else this.skip(found);
    }
    if (this.position !== end) throw malformed();
  }

  /** Takes the line apart; what it is too short for is not known. */
  private setLine(start: number, end: number): void {
    const { batch } = this;
    const numbersAt = batch.size * numberFields.length;
    let wordEnd = this.endOfWord(start, end);
    this.setText(textColumn.method, start, wordEnd);
    for (const column of lineNumbers) {
      const wordStart = Math.min(wordEnd + 1, end);
      wordEnd = this.endOfWord(wordStart, end);
      batch.numbers[numbersAt + column] = this.parseNumber(wordStart, wordEnd);
    }
    this.setText(textColumn.path, Math.min(wordEnd + 1, end), end);
  }

  private endOfWord(start: number, end: number): number {
    let position = start;
    while (position < end && this.message[position] !== space) position += 1;
    return position;
  }

  private setText(column: number, start: number, end: number): void {
    const { batch } = this;
    const at = (batch.size * textFields.length + column) * 2;
    const unknown = this.isUnknown(start, end);
    batch.ranges[at] = unknown ? 0 : start;
    batch.ranges[at + 1] = unknown ? 0 : end;
  }

  private isUnknown(start: number, end: number): boolean {
    return start === end || (end - start === 1 && this.message[start] === dash);
  }

  /** A whole number written in decimal; NaN for anything else. 15 digits always fit a double exactly. */
  private parseNumber(start: number, end: number): number {
    if (this.isUnknown(start, end)) return missing;
    if (end - start > 15) return Number.NaN;
    let value = 0;
    for (let position = start; position < end; position += 1) {
      const digit = (this.message[position] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) return Number.NaN;
      value = value * 10 + digit;
    }
    return value;
  }

  /** Nanoseconds since 1970 as seconds, to the microsecond; zero means that the sender had no time. */
  private readTime(numbersAt: number): void {
    if (this.position + 8 > this.message.length) throw malformed();
    const low = this.view.getUint32(this.position, true);
    const high = this.view.getUint32(this.position + 4, true);
    this.position += 8;
    const none = low === 0 && high === 0;
    // A double holds nanoseconds to about 256; rounding to microseconds gives the same number for the same time.
    this.batch.numbers[numbersAt] = none ? missing : Math.round((high * 2 ** 32 + low) / 1e3) / 1e6;
    if (!none) this.batch.timed = true;
  }

  /** Passes over a varint of at most 64 bits. */
  private skipVarint(): void {
    for (let bytes = 0; bytes < 10; bytes += 1) if (this.readByte() < 0x80) return;
    throw malformed();
  }

  /** A varint's low 32 bits, unsigned. */
  private readVarint(): number {
    let byte = this.readByte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      byte = this.readByte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw malformed();
  }

  private readByte(): number {
    const byte = this.message[this.position];
    if (byte === undefined) throw malformed();
    this.position += 1;
    return byte;
  }

  /** Reads a length and returns where the field ends, which must be inside the message around it. */
  private endOfField(outerEnd: number): number {
    const length = this.readVarint();
    const end = this.position + length;
    if (end > outerEnd) throw malformed();
    return end;
  }

  private skip(found: number): void {
    // Field number 0 never was, and groups (3, 4) went away with proto2 and would nest without bound.
    if (found < 8) throw malformed();
    switch (found & 7) {
      case 0:
        this.skipVarint();
        return;
      case 1:
        this.position += 8;
        return;
      case 2:
        this.position = this.endOfField(this.message.length);
        return;
      case 5:
        this.position += 4;
        return;
      default:
        throw malformed();
    }
  }
}

const decoder = new BatchDecoder();

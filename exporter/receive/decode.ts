import { Batch, elsewhere, missing, numberFields, textFields } from "./batch";
import type { FieldKey } from "./keys";
import { expectedKeys, findKey, sameKey } from "./keys";

/**
 * A narrow reader of OTLP's `ExportLogsServiceRequest`. It walks
 * resource_logs > scope_logs > log_records > attributes and skips all else by its length: what the
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
  logRecord: { timeUnixNano: tag(1, 1), attributes: tag(6) },
  keyValue: { key: tag(1), value: tag(2) },
  anyValue: { stringValue: tag(1), intValue: tag(3, 0) },
} as const;

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
  private readonly expected: (FieldKey | undefined)[] = [...expectedKeys];

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
      } else if (found === tags.logRecord.timeUnixNano) this.readTime(numbersAt);
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
    const valueAt = keyStart + expected.length;
    const textStart = valueAt + 4;
    const textLength = end - textStart;
    // Lengths of one byte each: 127 at most, the value's own being two more than its text's.
    if (textLength < 0 || textLength > 125) return false;
    const asEnvoyWrites =
      message[position] === tags.keyValue.key &&
      message[position + 1] === expected.length &&
      message[valueAt] === tags.keyValue.value &&
      message[valueAt + 1] === textLength + 2 &&
      message[valueAt + 2] === tags.anyValue.stringValue &&
      message[valueAt + 3] === textLength &&
      sameKey(this.view, keyStart, expected);
    if (!asEnvoyWrites) return false;
    this.setText(expected, textStart, end);
    this.position = end;
    return true;
  }

  /** Reads an attribute in any form that protobuf allows. @returns whether it is one of ours. */
  private readAttribute(place: number, end: number): boolean {
    let field: FieldKey | undefined;
    let valueStart = -1;
    let valueEnd = -1;
    while (this.position < end) {
      const found = this.readVarint();
      if (found === tags.keyValue.key) {
        const keyEnd = this.endOfField(end);
        field = findKey(this.view, this.position, keyEnd);
        this.position = keyEnd;
      } else if (found === tags.keyValue.value) {
        // Protobuf lets fields come in any order: the value is read when the key is known.
        valueEnd = this.endOfField(end);
        valueStart = this.position;
        this.position = valueEnd;
      } else this.skip(found);
    }
    if (this.position !== end) throw malformed();
    if (place < expectedKeys.length) this.expected[place] = field;
    if (field === undefined) return false;
    if (valueStart >= 0) {
      this.position = valueStart;
      this.readValue(field, valueEnd);
      this.position = end;
    }
    return true;
  }

  private readValue(field: FieldKey, end: number): void {
    while (this.position < end) {
      const found = this.readVarint();
      if (found === tags.anyValue.stringValue) {
        const textEnd = this.endOfField(end);
        this.setText(field, this.position, textEnd);
        this.position = textEnd;
      } else if (found === tags.anyValue.intValue) this.setInteger(field, this.readInteger());
      else this.skip(found);
    }
    if (this.position !== end) throw malformed();
  }

  private setText({ isText, column }: FieldKey, start: number, end: number): void {
    const { batch, message } = this;
    // Envoy writes "-" for what it does not know.
    const unknown = start === end || (end - start === 1 && message[start] === 0x2d);
    if (isText) {
      const at = (batch.size * textFields.length + column) * 2;
      batch.ranges[at] = unknown ? 0 : start;
      batch.ranges[at + 1] = unknown ? 0 : end;
    } else {
      batch.numbers[batch.size * numberFields.length + column] = unknown
        ? missing
        : parseDigits(message, start, end);
    }
  }

  private setInteger({ isText, column }: FieldKey, value: number): void {
    const { batch } = this;
    if (isText) {
      const at = (batch.size * textFields.length + column) * 2;
      batch.ranges[at] = elsewhere;
      batch.ranges[at + 1] = batch.texts.push(Number.isNaN(value) ? "" : String(value)) - 1;
    } else batch.numbers[batch.size * numberFields.length + column] = value;
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

  /** A signed 64-bit varint as a number; NaN when it is negative. */
  private readInteger(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.readByte();
      value += (byte & 0x7f) * 2 ** shift;
      // Negative numbers are sent in two's complement of 64 bits.
      if (byte < 0x80) return value < 2 ** 63 ? value : Number.NaN;
    }
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
        this.readInteger();
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

/** A whole number written in decimal; NaN for anything else. 15 digits always fit a double exactly. */
function parseDigits(message: Uint8Array, start: number, end: number): number {
  if (end - start > 15) return Number.NaN;
  let value = 0;
  for (let position = start; position < end; position += 1) {
    const digit = (message[position] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

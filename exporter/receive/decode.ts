import { Reader } from "protobufjs/minimal";
import type { AccessRecordField } from "./fields";
import { accessRecordFields } from "./fields";
import type { AccessRecord } from "./record";
import { emptyRecord } from "./record";

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

/** What a batch holds. */
export interface Batch {
  readonly records: readonly AccessRecord[];
  /** Log records without any of our attributes: not from the gateway's access log. */
  readonly foreign: number;
}

/**
 * Most records that one batch may hold. An empty record takes two bytes on the wire and a hundred in
 * memory, so the limit on bytes alone would not bound memory. Envoy sends about 100 at once, a Collector
 * 8,192 by default.
 */
export const maxRecordsPerBatch = 65_536;

const lengthDelimited = 2;
const tags = {
  request: { resourceLogs: tag(1) },
  resourceLogs: { scopeLogs: tag(2) },
  scopeLogs: { logRecords: tag(2) },
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
 * @throws BatchError
 */
export function decodeBatch(message: Uint8Array): Batch {
  try {
    return new BatchDecoder(message).decode();
  } catch (error) {
    if (error instanceof BatchError) throw error;
    // The reader's own errors (a length beyond the end, an endless varint) are the sender's fault too.
    throw malformed();
  }
}

function malformed(): BatchError {
  return new BatchError("malformed", "the message is not an OTLP ExportLogsServiceRequest");
}

class BatchDecoder {
  private readonly reader: Reader;
  private readonly records: AccessRecord[] = [];
  private readonly message: Buffer;
  private foreign = 0;

  constructor(message: Uint8Array) {
    this.message = Buffer.from(message.buffer, message.byteOffset, message.length);
    this.reader = Reader.create(this.message);
  }

  decode(): Batch {
    this.walk(this.message.length, tags.request.resourceLogs, (resourceEnd) => {
      this.walk(resourceEnd, tags.resourceLogs.scopeLogs, (scopeEnd) => {
        this.walk(scopeEnd, tags.scopeLogs.logRecords, (recordEnd) => this.readRecord(recordEnd));
      });
    });
    return { records: this.records, foreign: this.foreign };
  }

  /** Reads a message up to `end`, entering each field with the given tag and skipping the others. */
  private walk(end: number, wanted: number, enter: (end: number) => void): void {
    const { reader } = this;
    while (reader.pos < end) {
      const found = reader.uint32();
      if (found === wanted) enter(this.endOfField(end));
      else this.skip(found);
    }
    if (reader.pos !== end) throw malformed();
  }

  private readRecord(end: number): void {
    const { reader } = this;
    if (this.records.length + this.foreign >= maxRecordsPerBatch) {
      throw new BatchError("too_many_records", `the batch has more than ${maxRecordsPerBatch} records`);
    }
    const record = emptyRecord();
    let ours = false;
    while (reader.pos < end) {
      const found = reader.uint32();
      if (found === tags.logRecord.attributes) {
        const attributeEnd = this.endOfField(end);
        if (this.readAttribute(record, attributeEnd)) ours = true;
      } else if (found === tags.logRecord.timeUnixNano) {
        record.timeSeconds = this.readTime();
      } else this.skip(found);
    }
    if (reader.pos !== end) throw malformed();
    if (ours) this.records.push(record);
    else this.foreign += 1;
  }

  /** @returns whether the attribute is one of ours. */
  private readAttribute(record: AccessRecord, end: number): boolean {
    const { reader } = this;
    let field: AccessRecordField | undefined;
    let valueStart = -1;
    let valueEnd = -1;
    while (reader.pos < end) {
      const found = reader.uint32();
      if (found === tags.keyValue.key) {
        const keyEnd = this.endOfField(end);
        field = findField(this.message, reader.pos, keyEnd);
        reader.pos = keyEnd;
      } else if (found === tags.keyValue.value) {
        // Protobuf lets fields come in any order: the value is read when the key is known.
        valueEnd = this.endOfField(end);
        valueStart = reader.pos;
        reader.pos = valueEnd;
      } else this.skip(found);
    }
    if (reader.pos !== end) throw malformed();
    if (field === undefined) return false;
    if (valueStart >= 0) {
      reader.pos = valueStart;
      this.readValue(record, field, valueEnd);
      reader.pos = end;
    }
    return true;
  }

  private readValue(record: AccessRecord, field: AccessRecordField, end: number): void {
    const { reader } = this;
    while (reader.pos < end) {
      const found = reader.uint32();
      if (found === tags.anyValue.stringValue) {
        const textEnd = this.endOfField(end);
        this.setText(record, field, reader.pos, textEnd);
        reader.pos = textEnd;
      } else if (found === tags.anyValue.intValue) {
        setNumber(record, field, this.readInteger());
      } else this.skip(found);
    }
    if (reader.pos !== end) throw malformed();
  }

  private setText(record: AccessRecord, field: AccessRecordField, start: number, end: number): void {
    // Envoy writes "-" for what it does not know.
    const unknown = start === end || (end - start === 1 && this.message[start] === 0x2d);
    if (isNumberField(field)) record[field] = unknown ? undefined : parseDigits(this.message, start, end);
    else record[field] = unknown ? "" : this.message.toString("utf8", start, end);
  }

  /** Nanoseconds since 1970 as seconds, to the microsecond; zero means that the sender had no time. */
  private readTime(): number | undefined {
    const low = this.reader.fixed32();
    const high = this.reader.fixed32();
    // A double holds nanoseconds to about 256; rounding to microseconds gives the same number for the same time.
    return low === 0 && high === 0 ? undefined : Math.round((high * 2 ** 32 + low) / 1e3) / 1e6;
  }

  /** A signed 64-bit varint as a number; NaN when it is negative. */
  private readInteger(): number {
    const { reader, message } = this;
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[reader.pos++];
      if (byte === undefined) throw malformed();
      value += (byte & 0x7f) * 2 ** shift;
      // Negative numbers are sent in two's complement of 64 bits.
      if (byte < 0x80) return value < 2 ** 63 ? value : Number.NaN;
    }
    throw malformed();
  }

  /** Reads a length and returns where the field ends, which must be inside the message around it. */
  private endOfField(outerEnd: number): number {
    const length = this.reader.uint32();
    const end = this.reader.pos + length;
    if (end > outerEnd) throw malformed();
    return end;
  }

  private skip(found: number): void {
    const wireType = found & 7;
    // Groups (3, 4) went away with proto2 and would nest without bound; 6 and 7 never were.
    if (found < 8 || (wireType > 2 && wireType !== 5)) throw malformed();
    this.reader.skipType(wireType);
  }
}

type NumberField = "code" | "durationMilliseconds" | "requestBytes" | "responseBytes";

function isNumberField(field: AccessRecordField): field is NumberField {
  switch (field) {
    case "code":
    case "durationMilliseconds":
    case "requestBytes":
    case "responseBytes":
      return true;
    case "clientAddress":
    case "method":
    case "path":
    case "nodeId":
      return false;
  }
}

function setNumber(record: AccessRecord, field: AccessRecordField, value: number): void {
  if (isNumberField(field)) record[field] = value;
  else record[field] = Number.isNaN(value) ? "" : String(value);
}

interface FieldKey {
  readonly field: AccessRecordField;
  readonly key: Uint8Array;
}

/** Our attributes' keys as bytes, by their length, so that a key is told without making a string of it. */
const keysByLength: readonly (readonly FieldKey[] | undefined)[] = indexKeys();

function indexKeys(): FieldKey[][] {
  const byLength: FieldKey[][] = [];
  for (const [name, text] of Object.entries(accessRecordFields)) {
    const key = Buffer.from(text);
    (byLength[key.length] ??= []).push({ field: name as AccessRecordField, key });
  }
  return byLength;
}

function findField(message: Uint8Array, start: number, end: number): AccessRecordField | undefined {
  for (const { field, key } of keysByLength[end - start] ?? []) {
    let position = 0;
    while (position < key.length && key[position] === message[start + position]) position += 1;
    if (position === key.length) return field;
  }
  return undefined;
}

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

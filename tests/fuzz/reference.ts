import { accessRecordAttributes, accessRecordLine } from "../../exporter/receive/fields";
import type { AccessRecord } from "../../exporter/receive/record";
import type { Outcome } from "./subject";

/**
 * The same decoder again, written for the eye and from protobuf's and OTLP's descriptions alone: it cuts a message into
 * its fields, keeps the ones of the right number and wire type, and goes on inside them. It shares no code with the
 * exporter's, and is some ten times slower.
 * https://protobuf.dev/programming-guides/encoding/
 */

/** What the exporter must make of a message. */
export interface Expectation {
  readonly outcome: Outcome;
  /** A tag or length has more than 32 bits, or a number more than 64 or no end: to refuse it, or to read it otherwise, is right, too. */
  readonly doubtful: boolean;
}

/** @param mostRecords most records that a batch may hold. */
export function expectation(message: Buffer, mostRecords: number): Expectation {
  const reader = new ReferenceReader(message, mostRecords);
  try {
    return { outcome: reader.readRequest(), doubtful: reader.doubtful };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { outcome: { taken: false, fault: error.fault }, doubtful: reader.doubtful };
  }
}

class Refusal extends Error {
  constructor(readonly fault: "malformed" | "too_many_records") {
    super(fault);
  }
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  /** Where the value is; of a length-delimited field, without the length. */
  readonly start: number;
  readonly end: number;
}

const [varint, fixed64, lengthDelimited, fixed32] = [0, 1, 2, 5];
const numberFields: readonly string[] = ["code", "durationMilliseconds", "requestBytes", "responseBytes"];
const fieldByKey = new Map(
  Object.entries(accessRecordAttributes).map(([field, key]) => [key as string, field]),
);

const isUnknown = (text: Buffer) => text.length === 0 || (text.length === 1 && text[0] === 0x2d);

class ReferenceReader {
  doubtful = false;
  private readonly records: AccessRecord[] = [];
  private foreign = 0;

  constructor(
    private readonly message: Buffer,
    private readonly mostRecords: number,
  ) {}

  readRequest(): Outcome {
    const whole = { start: 0, end: this.message.length };
    for (const resourceLogs of this.messages(whole, 1))
      for (const scopeLogs of this.messages(resourceLogs, 2))
        for (const logRecord of this.messages(scopeLogs, 2)) this.readRecord(logRecord);
    return { taken: true, records: this.records, foreign: this.foreign };
  }

  private readRecord(place: Pick<Field, "start" | "end">): void {
    if (this.records.length + this.foreign === this.mostRecords) throw new Refusal("too_many_records");
    const record: Record<string, string | number | undefined> = {
      timeSeconds: undefined,
      ...{ clientAddress: "", method: "", path: "", nodeId: "" },
      ...{
        code: undefined,
        durationMilliseconds: undefined,
        requestBytes: undefined,
        responseBytes: undefined,
      },
    };
    let ours = false;
    for (const field of this.fields(place)) {
      if (field.number === 1 && field.wireType === fixed64) {
        const nanoseconds = this.message.readBigUInt64LE(field.start);
        record["timeSeconds"] = nanoseconds === 0n ? undefined : Number(nanoseconds) / 1e9;
      } else if (field.number === 5 && field.wireType === lengthDelimited) {
        for (const text of this.texts(field)) this.readLine(record, text);
      } else if (field.number === 6 && field.wireType === lengthDelimited) {
        if (this.readAttribute(record, field)) ours = true;
      }
    }
    if (ours) this.records.push(record as unknown as AccessRecord);
    else this.foreign += 1;
  }

  private readAttribute(record: Record<string, string | number | undefined>, place: Field): boolean {
    const parts = [...this.fields(place)].filter(({ wireType }) => wireType === lengthDelimited);
    const key = parts.findLast(({ number }) => number === 1);
    const name =
      key === undefined ? undefined : fieldByKey.get(this.message.toString("latin1", key.start, key.end));
    if (name === undefined) return false;
    // Should there be several values, the last counts, as in protobufjs.
    const value = parts.findLast(({ number }) => number === 2);
    for (const text of value === undefined ? [] : this.texts(value))
      record[name] = isUnknown(text) ? "" : text.toString("utf8");
    return true;
  }

  private readLine(record: Record<string, string | number | undefined>, text: Buffer): void {
    // Latin-1 has a character for each byte, so that cutting cannot change any.
    const words = text.toString("latin1").split(" ");
    for (const [index, field] of accessRecordLine.entries()) {
      const isLast = index === accessRecordLine.length - 1;
      const word = Buffer.from((isLast ? words.slice(index).join(" ") : words[index]) ?? "", "latin1");
      const unknown = isUnknown(word);
      if (!numberFields.includes(field)) record[field] = unknown ? "" : word.toString("utf8");
      else if (unknown) record[field] = undefined;
      else record[field] = /^[0-9]{1,15}$/.test(word.toString("latin1")) ? Number(word) : Number.NaN;
    }
  }

  /** The texts in an AnyValue: one, if any, unless the sender broke the rules. */
  private *texts(value: Pick<Field, "start" | "end">): Generator<Buffer> {
    for (const { number, wireType, start, end } of this.fields(value))
      if (number === 1 && wireType === lengthDelimited) yield this.message.subarray(start, end);
  }

  /** The fields of a message that hold messages of one kind. */
  private *messages(place: Pick<Field, "start" | "end">, number: number): Generator<Field> {
    for (const field of this.fields(place))
      if (field.number === number && field.wireType === lengthDelimited) yield field;
  }

  private *fields({ start, end }: Pick<Field, "start" | "end">): Generator<Field> {
    for (let at = start; at < end;) {
      const tag = this.varint(at, end);
      const number = Number(tag.value >> 3n);
      const wireType = Number(tag.value & 7n);
      if (tag.value >= 2n ** 32n || tag.bytes > 5) this.doubtful = true;
      if (number === 0) throw new Refusal("malformed");
      at += tag.bytes;
      let length = 0;
      if (wireType === varint) {
        const value = this.varint(at, end);
        if (value.bytes > 10) this.doubtful = true;
        length = value.bytes;
      } else if (wireType === fixed64) length = 8;
      else if (wireType === fixed32) length = 4;
      else if (wireType === lengthDelimited) {
        const prefix = this.varint(at, end);
        if (prefix.value >= 2n ** 32n || prefix.bytes > 5) this.doubtful = true;
        at += prefix.bytes;
        length = Number(prefix.value);
      } else throw new Refusal("malformed");
      if (at + length > end) throw new Refusal("malformed");
      yield { number, wireType, start: at, end: at + length };
      at += length;
    }
  }

  private varint(start: number, end: number): { readonly value: bigint; readonly bytes: number } {
    const first = this.message[start] ?? 0;
    if (start < end && first < 0x80) return { value: BigInt(first), bytes: 1 };
    let value = 0n;
    for (let at = start; at < end; at += 1) {
      const byte = this.message[at] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * (at - start));
      if (byte < 0x80) return { value, bytes: at - start + 1 };
    }
    // Some readers look at no more than ten bytes of a number.
    if (end - start > 5) this.doubtful = true;
    throw new Refusal("malformed");
  }
}

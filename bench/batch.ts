import { Reader } from "protobufjs/minimal";

/** One message of an OTLP logger, as it is on the wire. */
export interface RecordedBatch {
  message: Buffer;
  records: number;
  /** Where the first record's time stands in the message. */
  timeAt: number;
}

const resourceLogs = (1 << 3) | 2;
const scopeLogs = (2 << 3) | 2;
const logRecords = (2 << 3) | 2;
const timeUnixNano = (1 << 3) | 1;

/**
 * Counts a message's records and finds the first one's time.
 * @throws RangeError when it has no record that begins with a time.
 */
export function readBatch(message: Buffer): RecordedBatch {
  let records = 0;
  let timeAt = -1;
  const reader = Reader.create(message);
  eachField(reader, message.length, resourceLogs, (end) =>
    eachField(reader, end, scopeLogs, (scopeEnd) =>
      eachField(reader, scopeEnd, logRecords, (recordEnd) => {
        records += 1;
        if (timeAt < 0 && reader.uint32() === timeUnixNano) timeAt = reader.pos;
        reader.pos = recordEnd;
      }),
    ),
  );
  if (timeAt < 0) throw new RangeError("a batch without a timed record cannot be replayed");
  return { message, records, timeAt };
}

function eachField(reader: Reader, end: number, wanted: number, enter: (end: number) => void): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === wanted) enter(reader.uint32() + reader.pos);
    else reader.skipType(tag & 7);
  }
}

/**
 * The batch as a gRPC frame, with its first record's time moved by some nanoseconds: the exporter counts equal batches
 * once, as what they are in life, one that was sent again.
 */
export function freshFrame({ message, timeAt }: RecordedBatch, nanoseconds: number): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  frame.writeBigUInt64LE(frame.readBigUInt64LE(5 + timeAt) + BigInt(nanoseconds), 5 + timeAt);
  return frame;
}

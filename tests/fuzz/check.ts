import { maxRecordsPerBatch } from "../../exporter/receive/decode";
import type { AccessRecord } from "../../exporter/receive/record";
import { decodeWithProtobufjs } from "./protobufjs";
import { expectation } from "./reference";
import type { Outcome } from "./subject";
import { decode } from "./subject";

/**
 * Most CPU time that the decoder may take for an input, in milliseconds; the inputs have at most 1 MiB. With V8's counters on
 * and before V8 has optimised it, the decoder is some ten times slower than in production.
 */
export const mostMilliseconds = 100;

/** The decoder did what it must not. */
export class Finding extends Error {
  override readonly name = "Finding";
}

/**
 * Decodes an input and holds the outcome against what it must be.
 * @param lawful whether the input keeps to OTLP's grammar; protobufjs, which does not look at wire types, is then asked too.
 * @returns what became of it.
 * @throws Finding
 */
export function check(message: Buffer, lawful: boolean): Outcome {
  const outcome = decodeInTime(message);
  const { outcome: expected, doubtful } = expectation(message, maxRecordsPerBatch);
  if (!doubtful && !sameOutcome(outcome, expected))
    throw new Finding(`not as protobuf has it: ${describe(outcome)} instead of ${describe(expected)}`);
  if (lawful) {
    const other = decodeWithProtobufjs(message);
    if (!sameOutcome(outcome, other))
      throw new Finding(`not as protobufjs has it: ${describe(outcome)} instead of ${describe(other)}`);
  }
  return outcome;
}

/** Decodes an input. @throws Finding when that takes too long, or anything but a `BatchError` is thrown. */
export function decodeInTime(message: Buffer): Outcome {
  const started = performance.now();
  const outcome = decodeOrFind(message);
  if (performance.now() - started < mostMilliseconds) return outcome;
  // On a busy machine anything takes long once. So it is done again, and measured in CPU time, which is dear to ask for.
  const attempts = Array.from({ length: 3 }, () => {
    const before = process.cpuUsage();
    decodeOrFind(message);
    return process.cpuUsage(before).user / 1e3;
  });
  const best = Math.min(...attempts);
  if (best > mostMilliseconds) throw new Finding(`took ${Math.round(best)} ms`);
  return outcome;
}

function decodeOrFind(message: Buffer): Outcome {
  try {
    return decode(message);
  } catch (error) {
    throw new Finding(`threw ${String(error)}`, { cause: error });
  }
}

function sameOutcome(one: Outcome, other: Outcome): boolean {
  if (!one.taken || !other.taken) return !one.taken && !other.taken && one.fault === other.fault;
  return (
    one.foreign === other.foreign &&
    one.records.length === other.records.length &&
    one.records.every((record, index) => {
      const twin = other.records[index];
      return twin !== undefined && sameRecord(record, twin);
    })
  );
}

function sameRecord(one: AccessRecord, other: AccessRecord): boolean {
  return (
    sameNumber(one.timeSeconds, other.timeSeconds, 1e-6) &&
    sameNumber(one.code, other.code) &&
    sameNumber(one.durationMilliseconds, other.durationMilliseconds) &&
    sameNumber(one.requestBytes, other.requestBytes) &&
    sameNumber(one.responseBytes, other.responseBytes) &&
    sameText(one.clientAddress, other.clientAddress) &&
    sameText(one.method, other.method) &&
    sameText(one.path, other.path) &&
    sameText(one.nodeId, other.nodeId)
  );
}

/** Numbers beyond what a double holds exactly may differ in their last bit, times by what one rounds away. */
function sameNumber(one: number | undefined, other: number | undefined, most = 0): boolean {
  if (Object.is(one, other)) return true;
  if (one === undefined || other === undefined) return false;
  return Math.abs(one - other) <= Math.max(most, Math.abs(other) * 2 ** -51);
}

function sameText(one: string, other: string): boolean {
  return (
    one === other ||
    (/^\d{16,}$/.test(one) && /^\d{16,}$/.test(other) && sameNumber(Number(one), Number(other)))
  );
}

function describe(outcome: Outcome): string {
  if (!outcome.taken) return outcome.fault;
  return `${outcome.records.length} records and ${outcome.foreign} foreign ${JSON.stringify(outcome.records.slice(0, 2))}`;
}

import { parseAddress } from "../identify/address";
import { Directory } from "../identify/directory";
import type { Inventory, Vps } from "../identify/inventory";
import { unknownName } from "../identify/shape";
import type { Batch } from "../receive/batch";
import { missing, numberColumn, numberFields, textColumn } from "../receive/batch";
import { endpointIndex, endpoints } from "./endpoint";
import { boundedCode, methodIndex, methods, outcomeOf } from "./outcome";
import { FieldPairs } from "./fieldPairs";
import { SeriesTable } from "./seriesTable";
import type { CheckedField } from "./tally";
import { Tally } from "./tally";
import { TopTalkers } from "./topTalkers";
import { VpsSeries } from "./vpsSeries";

/** Longest duration that is believed: a day. More is a broken clock or a forged record. */
export const longestDurationMilliseconds = 24 * 60 * 60 * 1_000;
/** Largest body that is believed: 1 TiB. */
export const largestBodyBytes = 2 ** 40;

/** Pairs of address and node id that are remembered: enough for 10,000 VPSes with three each, in 4 MiB. */
const rememberedCallers = 65_536;
/** Pairs of method and path. A fleet has about ten; what callers make up is not remembered. */
const rememberedCalls = 1_024;
/** Row of the unknown callers in every table. */
const unknownRow = 0;

/** One VPS of the inventory in force, with its counts. */
export interface MeasuredVps {
  readonly vps: Vps;
  readonly series: VpsSeries;
}

/** Everything that belongs to one inventory; replaced as a whole, so that who reads an older one reads it whole. */
interface Fleet {
  readonly vps: readonly MeasuredVps[];
  readonly unknown: VpsSeries;
  readonly table: SeriesTable;
  /** Gives a VPS's row. */
  readonly directory: Directory<number>;
  /** What the directory said: the row, doubled, and 1 more for a node id mismatch. */
  readonly callers: FieldPairs;
}

/**
 * The heart of the exporter: access records in, counts per VPS out. It knows neither network nor clock
 * beyond what it is given, so it can be used as it is in tests, benchmarks and other servers.
 */
export class Measurements {
  /** Counts about the records themselves. */
  readonly tally = new Tally();
  /** Who the unknown callers are, as far as a bounded list can tell; undefined when nobody may know. */
  readonly strangers: TopTalkers | undefined;
  /** For each record of the batch at hand: hash of its caller, row, and endpoint with method. */
  private hashes = new Int32Array(0);
  private rows = new Int32Array(0);
  private callsMade = new Int32Array(0);
  /** Means nothing: it keeps reads whose only use is that they were made from being optimised away. */
  touched = 0;
  private current = createFleet({ source: "", vps: [] }, undefined);
  /** Endpoint and method of known calls, as `endpoint * methods.length + method`. */
  private readonly calls = new FieldPairs(rememberedCalls, textColumn.method, textColumn.path);

  /** @param followStrangers whether the most frequent unknown addresses are kept. Default true. */
  constructor({ followStrangers = true }: { readonly followStrangers?: boolean } = {}) {
    if (followStrangers) this.strangers = new TopTalkers();
  }

  /** Counts of all callers outside the inventory; one bucket, whatever they send. Replaced with the inventory. */
  get unknown(): VpsSeries {
    return this.current.unknown;
  }

  /** The VPSes of the inventory in force, in its order. The list is never changed, only replaced. */
  get fleet(): readonly MeasuredVps[] {
    return this.current.vps;
  }

  /**
   * Puts an inventory in force. A VPS that keeps its name and region keeps its counts, whatever else
   * changed; one that is new or moved to another region starts at 0; the series of one that left are gone.
   */
  setInventory(inventory: Inventory): void {
    this.current = createFleet(inventory, this.current);
  }

  /**
   * Counts the records of a batch.
   * @param nowSeconds the present, seconds since 1970; default the system's clock.
   */
  count(batch: Batch, nowSeconds: number = Date.now() / 1_000): void {
    const { size } = batch;
    this.reserve(size);
    this.recognise(batch, nowSeconds);
    for (let record = 0; record < size; record += 1) this.countRecord(batch, record, nowSeconds);
    this.tally.counted += size;
  }

  /**
   * Finds each record's row and call. A large fleet's tables do not fit the processor's caches, and one record alone would
   * wait for memory twice; so places are computed for the whole batch, read all together, and only then made use of.
   */
  private recognise(batch: Batch, nowSeconds: number): void {
    const { hashes, rows, callsMade } = this;
    const { callers, table } = this.current;
    const { size } = batch;
    let touched = 0;
    for (let record = 0; record < size; record += 1) {
      hashes[record] = callers.hashOf(batch, record);
    }
    for (let record = 0; record < size; record += 1) touched += callers.touch(hashes[record] ?? 0);
    for (let record = 0; record < size; record += 1) {
      rows[record] = this.identify(batch, record, hashes[record] ?? 0, nowSeconds);
      callsMade[record] = this.recogniseCall(batch, record);
    }
    for (let record = 0; record < size; record += 1)
      touched += table.touch(rows[record] ?? 0, Math.floor((callsMade[record] ?? 0) / methods.length));
    this.touched = touched;
  }

  private reserve(size: number): void {
    if (size <= this.rows.length) return;
    this.hashes = new Int32Array(size * 2);
    this.rows = new Int32Array(size * 2);
    this.callsMade = new Int32Array(size * 2);
  }

  private countRecord(batch: Batch, record: number, nowSeconds: number): void {
    const { table } = this.current;
    const { numbers } = batch;
    const row = this.rows[record] ?? unknownRow;
    const call = this.callsMade[record] ?? 0;
    const endpoint = Math.floor(call / methods.length);

    const first = record * numberFields.length;
    const sentCode = numbers[first + numberColumn.code] ?? missing;
    const code = boundedCode(sentCode);
    if (code === 0 && sentCode !== 0)
      this.tally.addFault("code", sentCode === missing ? "missing" : "invalid");
    table.countRequest(row, endpoint, outcomeOf(endpoint, call % methods.length, code));

    const duration = numbers[first + numberColumn.durationMilliseconds] ?? missing;
    if (this.isUsable(duration, longestDurationMilliseconds, "duration"))
      table.observeDuration(row, endpoint, duration);
    const requestBytes = numbers[first + numberColumn.requestBytes] ?? missing;
    if (this.isUsable(requestBytes, largestBodyBytes, "request_bytes"))
      table.addRequestBytes(row, endpoint, requestBytes);
    const responseBytes = numbers[first + numberColumn.responseBytes] ?? missing;
    if (this.isUsable(responseBytes, largestBodyBytes, "response_bytes"))
      table.addResponseBytes(row, endpoint, responseBytes);

    const time = numbers[first + numberColumn.timeSeconds] ?? missing;
    table.noteRequest(row, endpoint, this.requestTime(time, nowSeconds));
  }

  /** The row of the record's caller. */
  private identify(batch: Batch, record: number, hash: number, nowSeconds: number): number {
    const { callers, directory, table } = this.current;
    const remembered = callers.find(batch, record, hash);
    if (remembered >= 0) {
      const row = remembered >> 1;
      if ((remembered & 1) === 1) table.countMismatch(row);
      return row;
    }
    const address = parseAddress(batch.text(record, textColumn.clientAddress));
    const caller = directory.identify(address, batch.text(record, textColumn.nodeId));
    const row = caller.known ? caller.value : unknownRow;
    if (caller.nodeIdMismatch) table.countMismatch(row);
    // Unknown callers do not enter: whoever floods with addresses pushes nobody out.
    if (caller.known) callers.set(batch, record, hash, row * 2 + Number(caller.nodeIdMismatch));
    else {
      this.tally.unknown[caller.reason] += 1;
      this.strangers?.add(address, nowSeconds);
    }
    return row;
  }

  /** The record's endpoint and method, as `endpoint * methods.length + method`. */
  private recogniseCall(batch: Batch, record: number): number {
    const hash = this.calls.hashOf(batch, record);
    const remembered = this.calls.find(batch, record, hash);
    if (remembered >= 0) return remembered;
    const endpoint = endpointIndex(batch.text(record, textColumn.path));
    const method = methodIndex(batch.text(record, textColumn.method));
    const call = endpoint * methods.length + method;
    const madeUp = method === methods.length - 1 || endpoint === endpoints.length - 1;
    if (!madeUp) this.calls.set(batch, record, hash, call);
    return call;
  }

  /** Whether the value is a number from 0 to `limit`; the fault is noted when it is not. */
  private isUsable(value: number, limit: number, field: CheckedField): boolean {
    // Written so that NaN fails too.
    if (value >= 0 && value <= limit) return true;
    this.tally.addFault(field, value === missing ? "missing" : "invalid");
    return false;
  }

  /** When the request was made: never in the future, or a wrong clock would hide a VPS that fell silent. */
  private requestTime(timeSeconds: number, nowSeconds: number): number {
    // 0 is what the first half microsecond of 1970 rounds to.
    if (timeSeconds <= 0) {
      this.tally.addFault("time", "missing");
      return nowSeconds;
    }
    if (timeSeconds <= nowSeconds) return timeSeconds;
    this.tally.addFault("time", "invalid");
    return nowSeconds;
  }
}

function createFleet(inventory: Inventory, previous: Fleet | undefined): Fleet {
  const table = new SeriesTable(inventory.vps.length + 1);
  const unknown = new VpsSeries(unknownName, unknownName, table, unknownRow);
  if (previous !== undefined) table.copyRow(previous.table, previous.unknown.row, unknownRow);
  const kept = new Map(previous?.vps.map(({ series }) => [series.vps, series]));
  const vps = inventory.vps.map((vps, index) => {
    const series = new VpsSeries(vps.name, vps.region, table, index + 1);
    const older = kept.get(vps.name);
    if (older?.region === vps.region) table.copyRow(older.table, older.row, series.row);
    return { vps, series };
  });
  const rows = new Map(vps.map(({ vps, series }) => [vps, series.row]));
  const directory = new Directory(inventory, (vps) => rows.get(vps) ?? unknownRow);
  const callers = new FieldPairs(rememberedCallers, textColumn.clientAddress, textColumn.nodeId);
  return { vps, unknown, table, directory, callers };
}

import { Directory } from "../identify/directory";
import type { Inventory, Vps } from "../identify/inventory";
import { unknownName } from "../identify/shape";
import type { AccessRecord } from "../receive/record";
import { endpointIndex } from "./endpoint";
import { boundedCode, methodIndex, outcomeOf } from "./outcome";
import type { CheckedField } from "./tally";
import { Tally } from "./tally";
import { TopTalkers } from "./topTalkers";
import { VpsSeries } from "./vpsSeries";

/** Longest duration that is believed: a day. More is a broken clock or a forged record. */
export const longestDurationMilliseconds = 24 * 60 * 60 * 1_000;
/** Largest body that is believed: 1 TiB. */
export const largestBodyBytes = 2 ** 40;

/** One VPS of the inventory in force, with its counts. */
export interface MeasuredVps {
  readonly vps: Vps;
  readonly series: VpsSeries;
}

/**
 * The heart of the exporter: access records in, counts per VPS out. It knows neither network nor clock
 * beyond what it is given, so it can be used as it is in tests, benchmarks and other servers.
 */
export class Measurements {
  /** Counts of all callers outside the inventory; one bucket, whatever they send. */
  readonly unknown = new VpsSeries(unknownName, unknownName);
  /** Counts about the records themselves. */
  readonly tally = new Tally();
  /** Who the unknown callers are, as far as a bounded list can tell; undefined when nobody may know. */
  readonly strangers: TopTalkers | undefined;
  private measured: readonly MeasuredVps[] = [];
  private directory: Directory<VpsSeries> = new Directory({ source: "", vps: [] }, () => this.unknown);

  /** @param followStrangers whether the most frequent unknown addresses are kept. Default true. */
  constructor({ followStrangers = true }: { readonly followStrangers?: boolean } = {}) {
    if (followStrangers) this.strangers = new TopTalkers();
  }

  /** The VPSes of the inventory in force, in its order. The list is never changed, only replaced. */
  get fleet(): readonly MeasuredVps[] {
    return this.measured;
  }

  /**
   * Puts an inventory in force. A VPS that keeps its name and region keeps its counts, whatever else
   * changed; one that is new or moved to another region starts at 0; the series of one that left are gone.
   */
  setInventory(inventory: Inventory): void {
    const previous = new Map(this.measured.map(({ series }) => [series.vps, series]));
    const current = new Map<Vps, VpsSeries>();
    for (const vps of inventory.vps) {
      const kept = previous.get(vps.name);
      current.set(vps, kept?.region === vps.region ? kept : new VpsSeries(vps.name, vps.region));
    }
    this.directory = new Directory(inventory, (vps) => current.get(vps) ?? this.unknown);
    this.measured = [...current].map(([vps, series]) => ({ vps, series }));
  }

  /**
   * Counts one record.
   * @param nowSeconds the present, seconds since 1970; default the system's clock.
   */
  count(record: AccessRecord, nowSeconds: number = Date.now() / 1_000): void {
    const { tally } = this;
    const caller = this.directory.identify(record.clientAddress, record.nodeId);
    const series = caller.known ? caller.value : this.unknown;
    tally.counted += 1;
    if (!caller.known) {
      tally.unknown[caller.reason] += 1;
      this.strangers?.add(record.clientAddress, nowSeconds);
    }
    if (caller.nodeIdMismatch) series.nodeIdMismatches += 1;

    const endpoint = endpointIndex(record.path);
    const code = boundedCode(record.code);
    if (code === 0 && record.code !== 0)
      tally.addFault("code", record.code === undefined ? "missing" : "invalid");
    series.countRequest(endpoint, outcomeOf(endpoint, methodIndex(record.method), code));

    const duration = this.usable(record.durationMilliseconds, longestDurationMilliseconds, "duration");
    if (duration !== undefined) series.observeDuration(endpoint, duration);
    const requestBytes = this.usable(record.requestBytes, largestBodyBytes, "request_bytes");
    if (requestBytes !== undefined) series.addRequestBytes(endpoint, requestBytes);
    const responseBytes = this.usable(record.responseBytes, largestBodyBytes, "response_bytes");
    if (responseBytes !== undefined) series.addResponseBytes(endpoint, responseBytes);

    const seen = this.requestTime(record.timeSeconds, nowSeconds);
    // Batches of several gateways arrive out of order: the latest request counts, not the latest record.
    if (seen > series.lastRequestSeconds) series.lastRequestSeconds = seen;
  }

  /** The value when it is a number from 0 to `limit`; else undefined, and the fault is noted. */
  private usable(value: number | undefined, limit: number, field: CheckedField): number | undefined {
    if (value === undefined) {
      this.tally.addFault(field, "missing");
      return undefined;
    }
    // Written so that NaN fails too.
    if (value >= 0 && value <= limit) return value;
    this.tally.addFault(field, "invalid");
    return undefined;
  }

  /** When the request was made: never in the future, or a wrong clock would hide a VPS that fell silent. */
  private requestTime(timeSeconds: number | undefined, nowSeconds: number): number {
    if (timeSeconds === undefined) {
      this.tally.addFault("time", "missing");
      return nowSeconds;
    }
    if (timeSeconds <= nowSeconds) return timeSeconds;
    this.tally.addFault("time", "invalid");
    return nowSeconds;
  }
}

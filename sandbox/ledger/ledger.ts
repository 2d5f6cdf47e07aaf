import type { Endpoint } from "../../exporter/measure/endpoint";

/** Who really sent a request. `unknown`/`unknown` is everyone outside the inventory. */
export interface Sender {
  readonly vps: string;
  readonly region: string;
}

/** The sender that the exporter must not find a name for. */
export const unknownSender: Sender = { vps: "unknown", region: "unknown" };

/** One request to the panel's server API whose headers went out on an established connection. */
export interface LedgerEntry extends Sender {
  /** What the sender meant to call; written down by the sender, not read back from the path. */
  readonly endpoint: Endpoint;
  readonly method: string;
  /** As the client saw it; 0 when it gave up, or lost its connection, before an answer. */
  readonly code: number;
  /** The node that the caller claimed to be; empty when it claimed none. */
  readonly nodeId: string;
  /** Just before the headers were handed over, in milliseconds of the monotonic clock (`monotonicMilliseconds`). */
  readonly startMilliseconds: number;
  /** When the answer's last byte was there, or just before the client gave up. */
  readonly endMilliseconds: number;
  /** Whether the whole answer arrived; a client that gives up half-way through a body has a code and no finish. */
  readonly finished: boolean;
  /** Bytes of the bodies. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** 1 for the first try of a call, 2 to 4 for retries. */
  readonly attempt: number;
}

/** A try that no server can have seen as a request: no connection, or none that took it. */
export interface TransportError extends Sender {
  readonly endpoint: Endpoint;
  readonly method: string;
  /** `ECONNREFUSED`, `connect timeout`, … */
  readonly reason: string;
  readonly attempt: number;
}

/** A request outside the server API: a panel user's. It must leave no trace in the metrics. */
export interface OutOfScopeRequest {
  readonly from: string;
  readonly method: string;
  /** Without the query string. */
  readonly path: string;
  readonly code: number;
}

/** What became of a connection that began with a PROXY header of the caller's own making. */
export interface ForgedConnection {
  /** The address that really called. */
  readonly from: string;
  /** The address that its header claimed. */
  readonly claimed: string;
  /** `accepted` when a request got through; its entry names the true sender. */
  readonly outcome: "refused" | "accepted";
  /** How it was refused, or the answer's code. */
  readonly detail: string;
}

/** The labels of one series of `vps_requests_total`. */
export interface SeriesLabels extends Sender {
  readonly endpoint: string;
  readonly method: string;
  readonly code: string;
}

/** A series and its value. */
export interface SeriesCount extends SeriesLabels {
  readonly count: number;
}

/** How many requests of one VPS and endpoint took at most each bound. */
export interface LatencyHistogram extends Sender {
  readonly endpoint: string;
  readonly count: number;
  /** Cumulative, in the order of the bounds. */
  readonly cumulative: readonly number[];
}

/** Options of a ledger. */
export interface LedgerOptions {
  /** Keep every entry (default), or only the counts: a fleet that runs for days. */
  readonly keepEntries?: boolean;
}

/** How many transport errors, out-of-scope requests and forged connections are kept where entries are not. */
const keptWithoutEntries = 1_000;

/** What a fleet sent and got: the truth that the metrics are held against. Holds no token, body or query string. */
export class Ledger {
  readonly transportErrors: TransportError[] = [];
  readonly outOfScope: OutOfScopeRequest[] = [];
  readonly forgedConnections: ForgedConnection[] = [];
  private readonly kept: LedgerEntry[] = [];
  private readonly bySeries = new Map<string, { readonly labels: SeriesLabels; count: number }>();
  private readonly keepEntries: boolean;
  private recorded = 0;

  constructor(options: LedgerOptions = {}) {
    this.keepEntries = options.keepEntries ?? true;
  }

  /** Requests recorded. */
  get total(): number {
    return this.recorded;
  }

  /** Every request in the order of completion; empty with `keepEntries: false`. */
  get entries(): readonly LedgerEntry[] {
    return this.kept;
  }

  record(entry: LedgerEntry): void {
    this.recorded += 1;
    if (this.keepEntries) this.kept.push(entry);
    const { vps, region, endpoint, method } = entry;
    const labels = { vps, region, endpoint, method, code: String(entry.code) };
    const key = seriesKey(labels);
    const series = this.bySeries.get(key);
    if (series === undefined) this.bySeries.set(key, { labels, count: 1 });
    else series.count += 1;
  }

  recordTransportError(error: TransportError): void {
    this.push(this.transportErrors, error);
  }

  recordOutOfScope(request: OutOfScopeRequest): void {
    this.push(this.outOfScope, request);
  }

  recordForgedConnection(connection: ForgedConnection): void {
    this.push(this.forgedConnections, connection);
  }

  /** Requests per series, sorted by labels. */
  counts(): SeriesCount[] {
    return [...this.bySeries.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { labels, count }]) => ({ ...labels, count }));
  }

  /**
   * Durations as the client saw them, floored to whole milliseconds as Envoy's are.
   * @param bounds upper bounds in seconds, ascending.
   */
  histograms(bounds: readonly number[]): LatencyHistogram[] {
    const groups = new Map<string, { sender: Sender; endpoint: string; seconds: number[] }>();
    for (const { vps, region, endpoint, startMilliseconds, endMilliseconds } of this.kept) {
      const key = [vps, region, endpoint].join("\n");
      const group = groups.get(key) ?? { sender: { vps, region }, endpoint, seconds: [] };
      group.seconds.push(Math.floor(endMilliseconds - startMilliseconds) / 1_000);
      groups.set(key, group);
    }
    return [...groups.values()].map(({ sender, endpoint, seconds }) => ({
      ...sender,
      endpoint,
      count: seconds.length,
      cumulative: bounds.map((bound) => seconds.filter((duration) => duration <= bound).length),
    }));
  }

  /** Everything, for a file or a report. */
  toJSON() {
    return {
      total: this.total,
      counts: this.counts(),
      transportErrors: this.transportErrors,
      outOfScope: this.outOfScope,
      forgedConnections: this.forgedConnections,
      entries: this.kept,
    };
  }

  private push<Item>(list: Item[], item: Item): void {
    list.push(item);
    if (!this.keepEntries && list.length > keptWithoutEntries) list.shift();
  }
}

/** One text for a series, the same whatever order its labels came in. */
export function seriesKey({ vps, region, endpoint, method, code }: SeriesLabels): string {
  return [vps, region, endpoint, method, code].join("\n");
}

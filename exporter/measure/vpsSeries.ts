import { endpoints } from "./endpoint";
import type { Outcome } from "./outcome";
import type { SeriesTable } from "./seriesTable";

/** The counts of one VPS in one region (or of all unknown callers together), for those who show them. */
export class VpsSeries {
  /** `vps="jp-004",region="jp"`, as the exposition has it. */
  readonly labels: string;

  constructor(
    readonly vps: string,
    readonly region: string,
    readonly table: SeriesTable,
    /** Its row in the table. */
    readonly row: number,
  ) {
    this.labels = renderLabels({ vps, region });
  }

  /** Seconds since 1970 of the latest request; 0 is never. */
  get lastRequestSeconds(): number {
    return this.table.lastRequestSeconds(this.row);
  }

  /** Requests that claimed a node id which the inventory does not give this VPS. */
  get nodeIdMismatches(): number {
    return this.table.nodeIdMismatches(this.row);
  }

  /** Indexes (in `endpoints`) of the endpoints that have series. */
  get usedEndpoints(): number[] {
    return [...endpoints.keys()].filter((endpoint) => this.table.isUsed(this.row, endpoint));
  }

  /** How often each outcome occurred. */
  get requests(): (readonly [Outcome, number])[] {
    const requests: (readonly [Outcome, number])[] = [];
    this.table.eachOutcome(this.row, (outcome, count) => requests.push([outcome, count]));
    return requests;
  }

  /** Requests in this bucket alone (not cumulative); the bucket after the last bound holds the slower ones. */
  durationCount(endpoint: number, bucket: number): number {
    return this.table.durationCount(this.row, endpoint, bucket);
  }

  /** Sum of all durations in seconds. */
  durationSumSeconds(endpoint: number): number {
    return this.table.durationSumSeconds(this.row, endpoint);
  }

  /** Bytes that callers sent in bodies. */
  requestBytes(endpoint: number): number {
    return this.table.requestBytes(this.row, endpoint);
  }

  /** Bytes that callers got in bodies. */
  responseBytes(endpoint: number): number {
    return this.table.responseBytes(this.row, endpoint);
  }
}

/** Labels as the text format has them, values escaped: `name="value",…`, without the braces. */
export function renderLabels(labels: Readonly<Record<string, string>>): string {
  const escape = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(value)}"`)
    .join(",");
}

import { endpoints } from "./endpoint";
import type { MeasuredVps, Measurements } from "./measurements";
import { renderOutcome } from "./outcome";
import type { Snippet } from "./pieceWriter";
import { createSnippet, PieceWriter } from "./pieceWriter";
import { durationBuckets } from "./seriesTable";
import { renderLabels } from "./vpsSeries";
import type { VpsSeries } from "./vpsSeries";

/** Content type of Prometheus' text format. */
export const expositionContentType = "text/plain; version=0.0.4; charset=utf-8";

/** About how many bytes one piece of the exposition has: well under a millisecond of work. */
const pieceBytes = 64 * 1024;

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Writes the family's lines for one VPS, or for the unknown callers (`vps` undefined then). */
  readonly render: (writer: PieceWriter, series: VpsSeries, vps: MeasuredVps["vps"] | undefined) => void;
}

const endpointLabels = endpoints.map((endpoint) => createSnippet(`,endpoint="${endpoint}"`));
const boundLabels = [...durationBuckets.map(String), "+Inf"].map((bound) =>
  createSnippet(`,le="${bound}"} `),
);
const outcomeLabels = new Map<number, Snippet>();
const endOfLabels = createSnippet("} ");

const families: readonly Family[] = [
  {
    name: "vps_requests_total",
    type: "counter",
    help: "Requests of a VPS by what came of them; code 0 means that the caller went away before an answer.",
    render: renderRequests,
  },
  {
    name: "vps_request_duration_seconds",
    type: "histogram",
    help: "Time from a request's first byte to its answer's last, as the gateway saw it.",
    render: renderDurations,
  },
  {
    name: "vps_request_bytes_total",
    type: "counter",
    help: "Bytes of request bodies.",
    render: perEndpoint("vps_request_bytes_total", (series, endpoint) => series.requestBytes(endpoint)),
  },
  {
    name: "vps_response_bytes_total",
    type: "counter",
    help: "Bytes of response bodies.",
    render: perEndpoint("vps_response_bytes_total", (series, endpoint) => series.responseBytes(endpoint)),
  },
  {
    name: "vps_last_request_timestamp_seconds",
    type: "gauge",
    help: "When the latest request began, seconds since 1970; 0 means that none was seen since this exporter knows the VPS.",
    render: perVps("vps_last_request_timestamp_seconds", (series) => series.lastRequestSeconds),
  },
  {
    name: "vps_node_id_mismatch_total",
    type: "counter",
    help: "Requests that claimed a node id outside the VPS's nodeIds; of unknown callers: at an address that several VPSes share.",
    render: perVps("vps_node_id_mismatch_total", (series) => series.nodeIdMismatches),
  },
  {
    name: "vps_info",
    type: "gauge",
    help: "Always 1, one series per VPS of the inventory: its addresses (joined by commas), provider, state and free labels (label_…).",
    render: renderInfo,
  },
];

/**
 * The series of the fleet in Prometheus' text format, in pieces of about 64 KiB, each good until the next is asked for.
 * The caller should let other work run between pieces; the lines of one VPS in one family are always from the same
 * moment. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function* renderMeasurements(measurements: Measurements): Generator<Uint8Array, void, undefined> {
  // Taken once: an inventory that changes between pieces must not tear the exposition.
  const { fleet, unknown } = measurements;
  const writer = new PieceWriter(pieceBytes * 2);
  for (const { name, type, help, render } of families) {
    writer.writeText(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
    for (const { series, vps } of fleet) {
      render(writer, series, vps);
      if (writer.length >= pieceBytes) yield writer.takePiece();
    }
    render(writer, unknown, undefined);
  }
  yield writer.takePiece();
}

const requestsStart = createSnippet("vps_requests_total{");

function renderRequests(writer: PieceWriter, { labels, row, table }: VpsSeries): void {
  const start = writer.length;
  writer.write(requestsStart);
  writer.writeText(labels);
  const length = writer.length - start;
  let first = true;
  table.eachOutcome(row, (outcome, count) => {
    if (!first) writer.repeat(start, length);
    first = false;
    writer.write(labelsOf(outcome));
    writer.endLine(count);
  });
}

function labelsOf(outcome: number): Snippet {
  let labels = outcomeLabels.get(outcome);
  if (labels === undefined) {
    labels = createSnippet(`,${renderOutcome(outcome)}} `);
    outcomeLabels.set(outcome, labels);
  }
  return labels;
}

const bucketStart = createSnippet("vps_request_duration_seconds_bucket{");
const sumStart = createSnippet("vps_request_duration_seconds_sum{");
const countStart = createSnippet("vps_request_duration_seconds_count{");

function renderDurations(writer: PieceWriter, { labels, row, table }: VpsSeries): void {
  endpointLabels.forEach((endpointLabel, endpoint) => {
    if (!table.isUsed(row, endpoint)) return;
    const start = writer.length;
    writer.write(bucketStart);
    const labelsAt = writer.length;
    writer.writeText(labels);
    writer.write(endpointLabel);
    const end = writer.length;
    let count = 0;
    boundLabels.forEach((bound, bucket) => {
      count += table.durationCount(row, endpoint, bucket);
      if (bucket > 0) writer.repeat(start, end - start);
      writer.write(bound);
      writer.endLine(count);
    });
    writer.write(sumStart);
    writer.repeat(labelsAt, end - labelsAt);
    writer.write(endOfLabels);
    writer.endLine(table.durationSumSeconds(row, endpoint));
    writer.write(countStart);
    writer.repeat(labelsAt, end - labelsAt);
    writer.write(endOfLabels);
    writer.endLine(count);
  });
}

function perEndpoint(
  name: string,
  valueOf: (series: VpsSeries, endpoint: number) => number,
): Family["render"] {
  const start = createSnippet(`${name}{`);
  return (writer, series) => {
    endpointLabels.forEach((endpointLabel, endpoint) => {
      if (!series.table.isUsed(series.row, endpoint)) return;
      writer.write(start);
      writer.writeText(series.labels);
      writer.write(endpointLabel);
      writer.write(endOfLabels);
      writer.endLine(valueOf(series, endpoint));
    });
  };
}

function perVps(name: string, valueOf: (series: VpsSeries) => number): Family["render"] {
  const start = createSnippet(`${name}{`);
  return (writer, series) => {
    writer.write(start);
    writer.writeText(series.labels);
    writer.write(endOfLabels);
    writer.endLine(valueOf(series));
  };
}

function renderInfo(writer: PieceWriter, series: VpsSeries, vps: MeasuredVps["vps"] | undefined): void {
  if (vps === undefined) return;
  // One series however many addresses there are: two would break every join on (vps).
  const labels = { address: vps.addresses.join(","), provider: vps.provider, state: vps.state };
  const free = Object.entries(vps.labels).map(([name, value]) => [`label_${name}`, value] as const);
  const rendered = renderLabels({ ...labels, ...Object.fromEntries(free) });
  writer.writeText(`vps_info{${series.labels},${rendered}} 1\n`);
}

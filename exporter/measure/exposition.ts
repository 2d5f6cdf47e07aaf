import { endpoints } from "./endpoint";
import type { MeasuredVps, Measurements } from "./measurements";
import { renderOutcome } from "./outcome";
import { durationBuckets, renderLabels } from "./vpsSeries";
import type { VpsSeries } from "./vpsSeries";

/** Content type of Prometheus' text format. */
export const expositionContentType = "text/plain; version=0.0.4; charset=utf-8";

/** About how many characters one piece of the exposition has: well under a millisecond of work. */
const pieceLength = 64 * 1024;

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** The family's lines for one VPS, or for the unknown callers (`vps` undefined then). */
  readonly render: (series: VpsSeries, vps: MeasuredVps["vps"] | undefined) => string;
}

const endpointLabels = endpoints.map((endpoint) => `endpoint="${endpoint}"`);
const boundLabels = [...durationBuckets.map(String), "+Inf"].map((bound) => `le="${bound}"`);
const outcomeLabels = new Map<number, string>();

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
    render: (series) =>
      renderPerEndpoint("vps_request_bytes_total", series, (endpoint) => series.requestBytes(endpoint)),
  },
  {
    name: "vps_response_bytes_total",
    type: "counter",
    help: "Bytes of response bodies.",
    render: (series) =>
      renderPerEndpoint("vps_response_bytes_total", series, (endpoint) => series.responseBytes(endpoint)),
  },
  {
    name: "vps_last_request_timestamp_seconds",
    type: "gauge",
    help: "When the latest request began, seconds since 1970; 0 means that none was seen since this exporter knows the VPS.",
    render: (series) => `vps_last_request_timestamp_seconds{${series.labels}} ${series.lastRequestSeconds}\n`,
  },
  {
    name: "vps_node_id_mismatch_total",
    type: "counter",
    help: "Requests that claimed a node id outside the VPS's nodeIds; of unknown callers: at an address that several VPSes share.",
    render: (series) => `vps_node_id_mismatch_total{${series.labels}} ${series.nodeIdMismatches}\n`,
  },
  {
    name: "vps_info",
    type: "gauge",
    help: "Always 1, one series per VPS of the inventory: its addresses (joined by commas), provider, state and free labels (label_…).",
    render: renderInfo,
  },
];

/**
 * The series of the fleet in Prometheus' text format, in pieces of about 64 KiB. The caller should let
 * other work run between pieces; the lines of one VPS in one family are always from the same moment.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function* renderMeasurements(measurements: Measurements): Generator<string, void, undefined> {
  // Taken once: an inventory that changes between pieces must not tear the exposition.
  const { fleet, unknown } = measurements;
  let piece = "";
  for (const { name, type, help, render } of families) {
    piece += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const { series, vps } of fleet) {
      piece += render(series, vps);
      if (piece.length < pieceLength) continue;
      yield piece;
      piece = "";
    }
    piece += render(unknown, undefined);
  }
  yield piece;
}

function renderRequests(series: VpsSeries): string {
  let lines = "";
  for (const [outcome, count] of series.requests) {
    let labels = outcomeLabels.get(outcome);
    if (labels === undefined) {
      labels = renderOutcome(outcome);
      outcomeLabels.set(outcome, labels);
    }
    lines += `vps_requests_total{${series.labels},${labels}} ${count}\n`;
  }
  return lines;
}

function renderDurations(series: VpsSeries): string {
  let lines = "";
  for (const endpoint of series.usedEndpoints) {
    const labels = `${series.labels},${endpointLabels[endpoint] ?? ""}`;
    let count = 0;
    boundLabels.forEach((bound, bucket) => {
      count += series.durationCount(endpoint, bucket);
      lines += `vps_request_duration_seconds_bucket{${labels},${bound}} ${count}\n`;
    });
    lines += `vps_request_duration_seconds_sum{${labels}} ${series.durationSumSeconds(endpoint)}\n`;
    lines += `vps_request_duration_seconds_count{${labels}} ${count}\n`;
  }
  return lines;
}

function renderPerEndpoint(name: string, series: VpsSeries, valueOf: (endpoint: number) => number): string {
  let lines = "";
  for (const endpoint of series.usedEndpoints) {
    lines += `${name}{${series.labels},${endpointLabels[endpoint] ?? ""}} ${valueOf(endpoint)}\n`;
  }
  return lines;
}

function renderInfo(series: VpsSeries, vps: MeasuredVps["vps"] | undefined): string {
  if (vps === undefined) return "";
  // One series however many addresses there are: two would break every join on (vps).
  const labels = { address: vps.addresses.join(","), provider: vps.provider, state: vps.state };
  const free = Object.entries(vps.labels).map(([name, value]) => [`label_${name}`, value] as const);
  return `vps_info{${series.labels},${renderLabels({ ...labels, ...Object.fromEntries(free) })}} 1\n`;
}

import { endpoints } from "./endpoint";
import type { Measurements } from "./measurements";
import { meshDurationBounds, meshDurations } from "./meshDurations";
import type { MeshSettings } from "./meshSettings";
import { codeOf } from "./outcome";
import { renderLabels } from "./vpsSeries";
import type { VpsSeries } from "./vpsSeries";

/** About how many characters one piece has, as in `exposition.ts`. */
const pieceLength = 64 * 1024;

/** Name of the one node of all callers outside the inventory; no DNS label, so no VPS can have it. */
export const strangersName = "unknown_callers";

/** The family's lines for one node; `reporters` holds the labels that its series begin with, once for each reporter. */
type Render = (series: VpsSeries, reporters: readonly string[]) => string;

const boundLabels = [...meshDurationBounds.map(String), "+Inf"].map((bound) => `le="${bound}"`);

interface Family {
  readonly name: string;
  readonly type: "counter" | "histogram";
  readonly render: Render;
}

const requestsName = "istio_requests_total";
const durationsName = "istio_request_duration_milliseconds";
const families: readonly Family[] = [
  { name: requestsName, type: "counter", render: renderRequests },
  { name: durationsName, type: "histogram", render: renderDurations },
];
const byteFamilies: readonly Family[] = [
  bytesFamily("istio_request_bytes", (series, endpoint) => series.requestBytes(endpoint)),
  bytesFamily("istio_response_bytes", (series, endpoint) => series.responseBytes(endpoint)),
];

const help =
  "Of the hop from a VPS to the ingress gateway, told as Istio tells its own; the same counts as vps_*.";

/**
 * The hop VPS -> gateway in Istio's standard series, from which Kiali draws its graph. They are made from the counts
 * of `vps_*` at the moment they are asked for. In pieces of about 64 KiB, like `renderMeasurements`.
 * https://istio.io/latest/docs/reference/config/metrics/
 */
export function* renderMesh(
  measurements: Measurements,
  settings: MeshSettings,
): Generator<string, void, undefined> {
  // Taken once: an inventory that changes between pieces must not tear the exposition.
  const { fleet, unknown } = measurements;
  const sides = reportersFor(settings, fleet.length);
  const nodes = fleet.map(({ series }) => ({ series, name: series.vps }));
  if (settings.strangers) nodes.push({ series: unknown, name: strangersName });
  let piece = "";
  for (const { name, type, render } of [...families, ...(settings.bytes ? byteFamilies : [])]) {
    piece += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const node of nodes) {
      const source = sourceLabels(settings, node.name, node.series.region);
      piece += render(
        node.series,
        sides.map((side) => `${side},${source}`),
      );
      if (piece.length < pieceLength) continue;
      yield piece;
      piece = "";
    }
  }
  yield piece;
}

type Reporter = "source" | "destination";

/** Who reports a fleet of this size. */
export function reportersOf({ sides, bothUpTo }: MeshSettings, fleetSize: number): readonly Reporter[] {
  if (sides === "source" || sides === "destination") return [sides];
  return sides === "both" || fleetSize <= bothUpTo ? ["source", "destination"] : ["source"];
}

/** All labels that are the same for every VPS, once for each reporter. */
function reportersFor(settings: MeshSettings, fleetSize: number): string[] {
  const { cluster, gateway, extraLabels } = settings;
  return reportersOf(settings, fleetSize).map((reporter) =>
    renderLabels({
      ...extraLabels,
      reporter,
      source_workload_namespace: settings.namespace,
      source_cluster: cluster,
      source_principal: "unknown",
      destination_cluster: cluster,
      destination_principal: "unknown",
      destination_workload: gateway.workload,
      destination_workload_namespace: gateway.namespace,
      destination_canonical_service: gateway.canonicalService,
      destination_canonical_revision: gateway.canonicalRevision,
      destination_service: gateway.host,
      destination_service_name: gateway.serviceName,
      destination_service_namespace: gateway.namespace,
      // "HTTP/1.1" and the like draw nothing.
      request_protocol: "http",
      connection_security_policy: reporter === "source" ? "unknown" : "none",
    }),
  );
}

function sourceLabels({ regionPrefix }: MeshSettings, name: string, region: string): string {
  return renderLabels({
    source_workload: name,
    source_canonical_service: regionPrefix + region,
    source_canonical_revision: name,
  });
}

/** @param labels with their comma before them, or empty. */
function renderLines(name: string, reporters: readonly string[], labels: string, value: number): string {
  return reporters.map((reporter) => `${name}{${reporter}${labels}} ${value}\n`).join("");
}

function renderRequests(series: VpsSeries, reporters: readonly string[]): string {
  const counts = new Map<number, number>();
  for (const [outcome, count] of series.requests) {
    const code = codeOf(outcome);
    counts.set(code, (counts.get(code) ?? 0) + count);
  }
  let lines = "";
  for (const [code, count] of counts) {
    lines += renderLines(requestsName, reporters, `,response_code="${code}",response_flags="-"`, count);
  }
  return lines;
}

function renderDurations(series: VpsSeries, reporters: readonly string[]): string {
  const { cumulative, count, sumMilliseconds } = meshDurations(series);
  let lines = "";
  boundLabels.forEach((bound, bucket) => {
    lines += renderLines(`${durationsName}_bucket`, reporters, `,${bound}`, cumulative[bucket] ?? count);
  });
  lines += renderLines(`${durationsName}_sum`, reporters, "", sumMilliseconds);
  return lines + renderLines(`${durationsName}_count`, reporters, "", count);
}

/** Kiali reads the sum alone; which request had how many bytes is not kept, so there is but the last bucket. */
function bytesFamily(name: string, valueOf: (series: VpsSeries, endpoint: number) => number): Family {
  const render: Render = (series, reporters) => {
    let sum = 0;
    for (let endpoint = 0; endpoint < endpoints.length; endpoint += 1) sum += valueOf(series, endpoint);
    let count = 0;
    for (const [, of] of series.requests) count += of;
    return (
      renderLines(`${name}_bucket`, reporters, `,le="+Inf"`, count) +
      renderLines(`${name}_sum`, reporters, "", sum) +
      renderLines(`${name}_count`, reporters, "", count)
    );
  };
  return { name, type: "histogram", render };
}

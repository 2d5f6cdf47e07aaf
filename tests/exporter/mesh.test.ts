import { parseInventory } from "../../exporter/identify/inventory";
import { renderMeasurements } from "../../exporter/measure/exposition";
import { Measurements } from "../../exporter/measure/measurements";
import { meshDurationBounds } from "../../exporter/measure/meshDurations";
import { renderMesh, strangersName } from "../../exporter/measure/meshExposition";
import { parseMeshSettings, type MeshSettings } from "../../exporter/measure/meshSettings";
import { durationBuckets } from "../../exporter/measure/seriesTable";
import { decodeBatch } from "../../exporter/receive/decode";
import { createFleet } from "./fleet";
import { meshSettings } from "./mesh";
import { accessRecord, encodeRequest } from "./otlp";
import { SeededRandom } from "./random";
import type { Exposition, Sample } from "./samples";
import { parseExposition, select, sumOf, valueOf } from "./samples";

const now = 1_700_000_000;
const jp = { name: "jp-004", region: "jp", addresses: ["203.0.113.7"] };
const hk = { name: "hk-001", region: "hk", addresses: ["203.0.113.8"] };
const stranger = "198.51.100.66";
const histogram = "istio_request_duration_milliseconds";

function measure(...fleet: readonly unknown[]): Measurements {
  const measurements = new Measurements();
  measurements.setInventory(parseInventory(JSON.stringify({ vps: fleet }), "test"));
  return measurements;
}

function mesh(measurements: Measurements, changed: Partial<MeshSettings> = {}): Exposition {
  return parseExposition([...renderMesh(measurements, { ...meshSettings, ...changed })].join(""));
}

function count(measurements: Measurements, clientAddress: string, milliseconds: number, code = 200): void {
  const record = accessRecord(
    {
      clientAddress,
      method: "GET",
      path: `/api/v1/server/UniProxy/${["config", "user", "push", "nonsense"][milliseconds % 4] ?? ""}`,
      nodeId: "",
      code: String(code),
      durationMilliseconds: String(milliseconds),
      requestBytes: "3",
      responseBytes: String(milliseconds),
    },
    now,
  );
  measurements.count(decodeBatch(encodeRequest([record])), now);
}

const without = ({ labels }: Sample, ...names: readonly string[]) =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name)));

test("each label has the value that Kiali needs", () => {
  const [first] = select(mesh(measure(jp)), "istio_requests_total", { reporter: "source" });
  const labels = {
    reporter: "source",
    source_workload: "jp-004",
    source_canonical_revision: "jp-004",
    source_canonical_service: "edge-jp",
    source_workload_namespace: "edge-nodes",
    source_cluster: "Kubernetes",
    source_principal: "unknown",
    destination_cluster: "Kubernetes",
    destination_workload: "istio-ingressgateway",
    destination_canonical_service: "istio-ingressgateway",
    destination_canonical_revision: "latest",
    destination_workload_namespace: "istio-system",
    destination_service_namespace: "istio-system",
    destination_service: "istio-ingressgateway.istio-system.svc.cluster.local",
    destination_service_name: "unknown",
    destination_principal: "unknown",
    request_protocol: "http",
    connection_security_policy: "unknown",
    response_code: "200",
    response_flags: "-",
  };
  expect(first?.labels).toEqual(labels);
  const [other] = select(mesh(measure(jp)), "istio_requests_total", { reporter: "destination" });
  expect(other?.labels).toEqual({ ...labels, reporter: "destination", connection_security_policy: "none" });
});

test("the histogram has exactly Istio's bounds, and none of ours is missing there", () => {
  expect(meshDurationBounds).toEqual([
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000,
    3600000,
  ]);
  const bounds = select(mesh(measure(jp)), `${histogram}_bucket`, { reporter: "source" }).map(
    ({ labels }) => labels["le"],
  );
  expect(bounds).toEqual([...meshDurationBounds.map(String), "+Inf"]);
});

test("a bucket holds what does not exceed its bound, however fast or slow", () => {
  const measurements = measure(jp);
  const milliseconds = [0, 2, ...meshDurationBounds.slice(1).flatMap((bound) => [bound, bound + 1])];
  for (const each of milliseconds) count(measurements, "203.0.113.7", each);
  const exposition = mesh(measurements, { sides: "source" });
  for (const bound of meshDurationBounds) {
    const expected = milliseconds.filter((value) => value <= bound).length;
    const found = valueOf(exposition, `${histogram}_bucket`, { le: String(bound) });
    expect({ bound, found }).toEqual({ bound, found: expected });
  }
  expect(valueOf(exposition, `${histogram}_bucket`, { le: "+Inf" })).toBe(milliseconds.length);
});

test("it holds the very counts of vps_*: by code, count, sum and every bucket that both have", () => {
  const measurements = measure(jp, hk);
  const random = new SeededRandom(7);
  for (let turn = 0; turn < 5_000; turn += 1) {
    const address = random.pick(["203.0.113.7", "203.0.113.8", stranger]);
    const code = random.pick([200, 304, 404, 422, 500, 503, 0, 999]);
    count(measurements, address, Math.floor(10 ** (random.below(7_000) / 1_000) - 1), code);
  }
  const vps = parseExposition(
    Array.from(renderMeasurements(measurements), (piece) => Buffer.from(piece).toString()).join(""),
  );
  const made = mesh(measurements, { strangers: true, bytes: true });
  for (const [name, workload] of [
    ["jp-004", "jp-004"],
    ["hk-001", "hk-001"],
    ["unknown", strangersName],
  ] as const) {
    for (const reporter of ["source", "destination"]) {
      const labels = { source_workload: workload, reporter };
      const of = { vps: name };
      expect(sumOf(vps, "vps_requests_total", of)).toBeGreaterThan(1_000);
      for (const code of ["200", "304", "404", "422", "500", "503", "0"]) {
        expect(sumOf(made, "istio_requests_total", { ...labels, response_code: code })).toBe(
          sumOf(vps, "vps_requests_total", { ...of, code }),
        );
      }
      expect(sumOf(made, "istio_requests_total", labels)).toBe(sumOf(vps, "vps_requests_total", of));
      expect(valueOf(made, `${histogram}_count`, labels)).toBe(
        sumOf(vps, "vps_request_duration_seconds_count", of),
      );
      const seconds = sumOf(vps, "vps_request_duration_seconds_sum", of);
      expect(valueOf(made, `${histogram}_sum`, labels)).toBeCloseTo(seconds * 1_000, 3);
      for (const bound of durationBuckets) {
        expect(valueOf(made, `${histogram}_bucket`, { ...labels, le: String(bound * 1_000) })).toBe(
          sumOf(vps, "vps_request_duration_seconds_bucket", { ...of, le: String(bound) }),
        );
      }
      for (const direction of ["request", "response"]) {
        expect(valueOf(made, `istio_${direction}_bytes_sum`, labels)).toBe(
          sumOf(vps, `vps_${direction}_bytes_total`, of),
        );
      }
    }
  }
});

test("both sides have the same series and values, up to the size of fleet that is set", () => {
  const measurements = measure(jp, hk);
  for (const milliseconds of [0, 7, 31_000]) count(measurements, "203.0.113.7", milliseconds, 503);
  const samples = (reporter: string) =>
    mesh(measurements)
      .samples.filter(({ labels }) => labels["reporter"] === reporter)
      .map((sample) => [
        sample.name,
        without(sample, "reporter", "connection_security_policy"),
        sample.value,
      ]);
  expect(samples("destination")).toEqual(samples("source"));
  const reporters = (changed: Partial<MeshSettings>) =>
    [...new Set(mesh(measurements, changed).samples.map(({ labels }) => labels["reporter"]))].sort();
  expect(reporters({ bothUpTo: 2 })).toEqual(["destination", "source"]);
  expect(reporters({ bothUpTo: 1 })).toEqual(["source"]);
  expect(reporters({ sides: "both", bothUpTo: 0 })).toEqual(["destination", "source"]);
  expect(reporters({ sides: "destination" })).toEqual(["destination"]);
});

test("a VPS starts at 0, and its series go with it", () => {
  const measurements = measure(jp, hk);
  const before = mesh(measurements);
  expect(before.samples.every(({ value }) => value === 0)).toBe(true);
  expect(
    select(before, "istio_requests_total", { source_workload: "jp-004", response_code: "503" }),
  ).toHaveLength(2);
  count(measurements, "203.0.113.7", 3);
  for (const milliseconds of [0, 60_000]) count(measurements, "203.0.113.8", milliseconds);
  measurements.setInventory(parseInventory(JSON.stringify({ vps: [hk] }), "test"));
  for (const [le, expected] of [
    ["0.5", 1],
    ["30000", 1],
    ["60000", 2],
  ] as const) {
    const labels = { source_workload: "hk-001", reporter: "source", le };
    expect(valueOf(mesh(measurements), `${histogram}_bucket`, labels)).toBe(expected);
  }
  expect(mesh(measurements).samples.filter(({ labels }) => labels["source_workload"] === "jp-004")).toEqual(
    [],
  );
});

test("callers outside the inventory are no series, or one node, never one each", () => {
  const measurements = measure(jp);
  for (let caller = 0; caller < 200; caller += 1) count(measurements, `198.51.100.${caller}`, 5, 404);
  const workloads = (strangers: boolean) => [
    ...new Set(mesh(measurements, { strangers }).samples.map(({ labels }) => labels["source_workload"])),
  ];
  expect(workloads(false)).toEqual(["jp-004"]);
  expect(workloads(true)).toEqual(["jp-004", strangersName]);
});

test("labels for Kiali's query_scope are on every series", () => {
  const { samples } = mesh(measure(jp), { extraLabels: { mesh_id: "mesh1" } });
  expect(samples.every(({ labels }) => labels["mesh_id"] === "mesh1")).toBe(true);
});

test("no label is empty: Kiali would drop the series without a word", () => {
  const { samples } = mesh(measure(jp, hk), { strangers: true, bytes: true });
  for (const { labels } of samples) expect(Object.values(labels)).not.toContain("");
});

test("a large fleet comes in pieces of bounded size, of one inventory, with 29 series per VPS and side", () => {
  const measurements = new Measurements();
  measurements.setInventory(createFleet(400));
  const pieces: string[] = [];
  for (const piece of renderMesh(measurements, meshSettings)) {
    expect(piece.length).toBeLessThan(160 * 1024);
    pieces.push(piece);
    if (pieces.length === 3) measurements.setInventory(createFleet(1));
  }
  expect(parseExposition(pieces.join("")).samples).toHaveLength(400 * 29);
});

test("settings: every problem at once, and nothing is filled in", () => {
  expect(parseMeshSettings(JSON.stringify(meshSettings))).toEqual(meshSettings);
  const gateway = { ...meshSettings.gateway, workload: "" };
  const wrong = { ...meshSettings, cluster: undefined, gateway, sides: "none", bothUpTo: -1 };
  expect(parseMeshSettings(JSON.stringify(wrong))).toEqual([
    "sides: must be one of auto, source, destination, both",
    "bothUpTo: must be a whole number from 0 up",
    "cluster: must be a text",
    "gateway.workload: must not be empty",
  ]);
  expect(parseMeshSettings("{")).toEqual(["must be JSON"]);
});

import type { Inventory } from "../../exporter/identify/inventory";
import { parseInventory } from "../../exporter/identify/inventory";
import { renderMeasurements } from "../../exporter/measure/exposition";
import { Measurements } from "../../exporter/measure/measurements";
import { createFleet } from "./fleet";
import { parseExposition, select } from "./samples";

function measure(inventory: Inventory): Measurements {
  const measurements = new Measurements();
  measurements.setInventory(inventory);
  return measurements;
}

function expositionText(measurements: Measurements): string {
  // Each piece as it comes: the next one uses its memory.
  return Array.from(renderMeasurements(measurements), (piece) => Buffer.from(piece).toString()).join("");
}

test("the design's families, with their types and labels", () => {
  const { samples, types } = parseExposition(expositionText(measure(createFleet(1))));
  expect(Object.fromEntries(types)).toEqual({
    vps_requests_total: "counter",
    vps_request_duration_seconds: "histogram",
    vps_request_bytes_total: "counter",
    vps_response_bytes_total: "counter",
    vps_last_request_timestamp_seconds: "gauge",
    vps_node_id_mismatch_total: "counter",
    vps_info: "gauge",
  });
  const labelsOf = new Map(samples.map(({ name, labels }) => [name, Object.keys(labels).join(",")]));
  expect(Object.fromEntries(labelsOf)).toEqual({
    vps_requests_total: "vps,region,endpoint,method,code",
    vps_request_duration_seconds_bucket: "vps,region,endpoint,le",
    vps_request_duration_seconds_sum: "vps,region,endpoint",
    vps_request_duration_seconds_count: "vps,region,endpoint",
    vps_request_bytes_total: "vps,region,endpoint",
    vps_response_bytes_total: "vps,region,endpoint",
    vps_last_request_timestamp_seconds: "vps,region",
    vps_node_id_mismatch_total: "vps,region",
    vps_info: "vps,region,address,provider,state",
  });
});

test("vps_info is one series per VPS, whatever its addresses, provider and labels are", () => {
  const entry = {
    name: "vps-0",
    region: "jp",
    addresses: ["203.0.113.7", "2001:DB8::/64"],
    provider: 'a"b\\c\\n ä',
    labels: { rack: 'r"1', vps: "mine" },
    state: "retired",
  };
  const exposition = parseExposition(
    expositionText(measure(parseInventory(JSON.stringify({ vps: [entry] }), "test"))),
  );
  expect(select(exposition, "vps_info").map(({ labels }) => labels)).toEqual([
    {
      vps: "vps-0",
      region: "jp",
      address: "203.0.113.7,2001:db8::/64",
      provider: 'a"b\\c\\n ä',
      state: "retired",
      label_rack: 'r"1',
      label_vps: "mine",
    },
  ]);
});

test("a large fleet comes in pieces of bounded size, each soon", () => {
  const pauses: number[] = [];
  let length = 0;
  const rendering = renderMeasurements(measure(createFleet(2_000)));
  for (let started = performance.now(); ; started = performance.now()) {
    const { done, value } = rendering.next();
    if (done === true) break;
    pauses.push(performance.now() - started);
    expect(value.length).toBeLessThan(128 * 1024);
    length += value.length;
  }
  expect(pauses.length).toBeGreaterThan(length / (128 * 1024));
  // A piece takes about 1 ms; on a busy machine single ones wait for the processor.
  pauses.sort((a, b) => a - b);
  expect(pauses[Math.floor(pauses.length * 0.9)]).toBeLessThan(25);
});

test("an inventory that changes between two pieces does not tear the exposition", () => {
  const measurements = measure(createFleet(500));
  const pieces: string[] = [];
  for (const piece of renderMeasurements(measurements)) {
    pieces.push(Buffer.from(piece).toString());
    if (pieces.length === 3) measurements.setInventory(parseInventory("vps: []", "test"));
  }
  const exposition = parseExposition(pieces.join(""));
  expect(select(exposition, "vps_info")).toHaveLength(500);
  expect(select(exposition, "vps_requests_total")).toHaveLength(501 * 20);
});

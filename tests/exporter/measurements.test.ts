import { parseInventory } from "../../exporter/identify/inventory";
import { endpoints } from "../../exporter/measure/endpoint";
import {
  largestBodyBytes,
  longestDurationMilliseconds,
  Measurements,
} from "../../exporter/measure/measurements";
import { renderMeasurements } from "../../exporter/measure/exposition";
import { durationBuckets } from "../../exporter/measure/seriesTable";
import type { Batch } from "../../exporter/receive/batch";
import { decodeBatch } from "../../exporter/receive/decode";
import type { AccessRecordField } from "../../exporter/receive/fields";
import type { AccessRecord } from "../../exporter/receive/record";
import type { LogRecord } from "./otlp";
import { accessRecord, encodeRequest } from "./otlp";
import type { Exposition } from "./samples";
import { parseExposition, select, sumOf, valueOf } from "./samples";

const now = 1_700_000_000;
const jp = { name: "jp-004", region: "jp", addresses: ["203.0.113.7"], nodeIds: ["12"], provider: "example" };
const hk = { name: "hk-001", region: "hk", addresses: ["203.0.113.8"] };
const jpLabels = { vps: "jp-004", region: "jp" };
const unknownLabels = { vps: "unknown", region: "unknown" };

function measure(...fleet: readonly unknown[]): Measurements {
  const measurements = new Measurements();
  setFleet(measurements, ...fleet);
  return measurements;
}

function setFleet(measurements: Measurements, ...fleet: readonly unknown[]): void {
  measurements.setInventory(parseInventory(JSON.stringify({ vps: fleet }), "test"));
}

/** A batch of one record, by way of the wire; `undefined` leaves a field out. */
function record(fields: Partial<AccessRecord> = {}): Batch {
  return batchOf(fields);
}

function batchOf(...records: readonly Partial<AccessRecord>[]): Batch {
  return decodeBatch(encodeRequest(records.map(toLogRecord)));
}

function toLogRecord(fields: Partial<AccessRecord>): LogRecord {
  const { timeSeconds, ...rest } = {
    timeSeconds: now - 1,
    clientAddress: "203.0.113.7",
    method: "GET",
    path: "/api/v1/server/UniProxy/config",
    nodeId: "12",
    code: 304,
    durationMilliseconds: 12,
    requestBytes: 3,
    responseBytes: 400,
    ...fields,
  };
  const texts = Object.entries(rest).map(([field, value]) => [
    field,
    value === undefined ? undefined : String(value),
  ]);
  return accessRecord(
    Object.fromEntries(texts) as Partial<Record<AccessRecordField, string | undefined>>,
    timeSeconds ?? 0,
  );
}

function expose(measurements: Measurements): Exposition {
  return parseExposition(
    Array.from(renderMeasurements(measurements), (piece) => Buffer.from(piece).toString()).join(""),
  );
}

describe("a VPS that nobody has heard of yet", () => {
  const exposition = expose(measure(jp, hk));

  test("starts at 0 with every outcome that is expected of it", () => {
    const requests = select(exposition, "vps_requests_total", jpLabels);
    expect(requests.every(({ value }) => value === 0)).toBe(true);
    const codes = (endpoint: string, method: string) =>
      requests
        .filter(({ labels }) => labels["endpoint"] === endpoint && labels["method"] === method)
        .map(({ labels }) => labels["code"]);
    expect(codes("config", "GET")).toEqual(["200", "304", "400", "422", "500", "503", "0"]);
    expect(codes("user", "GET")).toEqual(["200", "304", "400", "422", "500", "503", "0"]);
    expect(codes("push", "POST")).toEqual(["200", "400", "422", "500", "503", "0"]);
    expect(requests).toHaveLength(20);
  });

  test("has its histograms, bytes, mismatches and last request at 0", () => {
    for (const endpoint of ["config", "user", "push"]) {
      const labels = { ...jpLabels, endpoint };
      expect(select(exposition, "vps_request_duration_seconds_bucket", labels)).toHaveLength(13);
      for (const name of ["duration_seconds_count", "duration_seconds_sum", "bytes_total"]) {
        expect(valueOf(exposition, `vps_request_${name}`, labels)).toBe(0);
      }
      expect(valueOf(exposition, "vps_response_bytes_total", labels)).toBe(0);
    }
    expect(valueOf(exposition, "vps_node_id_mismatch_total", jpLabels)).toBe(0);
    expect(valueOf(exposition, "vps_last_request_timestamp_seconds", jpLabels)).toBe(0);
  });

  test("so do the unknown callers, as one", () => {
    expect(select(exposition, "vps_requests_total", unknownLabels)).toHaveLength(20);
    expect(valueOf(exposition, "vps_last_request_timestamp_seconds", unknownLabels)).toBe(0);
    expect(select(exposition, "vps_info", unknownLabels)).toEqual([]);
  });
});

describe("a request", () => {
  test("is counted in every metric of its VPS, and in no other's", () => {
    const measurements = measure(jp, hk);
    measurements.count(record(), now);
    measurements.count(
      record({ method: "POST", path: "/api/v1/server/UniProxy/push", code: 200, durationMilliseconds: 80 }),
      now,
    );
    const exposition = expose(measurements);
    expect(
      valueOf(exposition, "vps_requests_total", {
        ...jpLabels,
        endpoint: "config",
        method: "GET",
        code: "304",
      }),
    ).toBe(1);
    expect(
      valueOf(exposition, "vps_requests_total", {
        ...jpLabels,
        endpoint: "push",
        method: "POST",
        code: "200",
      }),
    ).toBe(1);
    expect(sumOf(exposition, "vps_requests_total")).toBe(2);
    expect(valueOf(exposition, "vps_request_bytes_total", { ...jpLabels, endpoint: "config" })).toBe(3);
    expect(valueOf(exposition, "vps_response_bytes_total", { ...jpLabels, endpoint: "config" })).toBe(400);
    expect(valueOf(exposition, "vps_request_duration_seconds_sum", { ...jpLabels, endpoint: "push" })).toBe(
      0.08,
    );
    expect(valueOf(exposition, "vps_last_request_timestamp_seconds", jpLabels)).toBe(now - 1);
    expect(valueOf(exposition, "vps_last_request_timestamp_seconds", { vps: "hk-001" })).toBe(0);
    expect(measurements.tally.counted).toBe(2);
  });

  test("of an outcome nobody expected makes its series", () => {
    const measurements = measure(jp);
    measurements.count(record({ method: "BREW", path: "/api/v2/server/report", code: 418 }), now);
    const exposition = expose(measurements);
    expect(
      valueOf(exposition, "vps_requests_total", {
        ...jpLabels,
        endpoint: "report",
        method: "other",
        code: "418",
      }),
    ).toBe(1);
    expect(
      valueOf(exposition, "vps_request_duration_seconds_count", { ...jpLabels, endpoint: "report" }),
    ).toBe(1);
  });

  test.each([
    ["an address outside the inventory", { clientAddress: "192.0.2.1" }, "not_in_inventory"],
    ["no address", { clientAddress: "" }, "no_address"],
    ["a forged address", { clientAddress: "6.6.6.6,203.0.113.7" }, "no_address"],
  ] as const)("with %s is the unknown callers'", (_name, fields, reason) => {
    const measurements = measure(jp, hk);
    measurements.count(record(fields), now);
    const exposition = expose(measurements);
    expect(
      valueOf(exposition, "vps_requests_total", {
        ...unknownLabels,
        endpoint: "config",
        method: "GET",
        code: "304",
      }),
    ).toBe(1);
    expect(sumOf(exposition, "vps_requests_total")).toBe(1);
    expect(measurements.tally.unknown[reason]).toBe(1);
  });

  test("with a wrong node id is the VPS's, and a mismatch", () => {
    const measurements = measure(jp, hk);
    for (const nodeId of ["12", "13", ""]) measurements.count(record({ nodeId }), now);
    measurements.count(record({ nodeId: "13", clientAddress: "203.0.113.8" }), now);
    const exposition = expose(measurements);
    expect(valueOf(exposition, "vps_node_id_mismatch_total", jpLabels)).toBe(1);
    expect(sumOf(exposition, "vps_node_id_mismatch_total")).toBe(1);
    expect(sumOf(exposition, "vps_requests_total", jpLabels)).toBe(3);
  });

  test("at an address that several VPSes share goes to the one whose node id it claims", () => {
    const measurements = measure(jp, { ...hk, addresses: ["203.0.113.7"], nodeIds: ["20"] });
    for (const nodeId of ["12", "20", "20", "99"]) measurements.count(record({ nodeId }), now);
    const exposition = expose(measurements);
    expect(
      ["jp-004", "hk-001", "unknown"].map((vps) => sumOf(exposition, "vps_requests_total", { vps })),
    ).toEqual([1, 2, 1]);
    expect(valueOf(exposition, "vps_node_id_mismatch_total", unknownLabels)).toBe(1);
    expect(measurements.tally.unknown.shared_address).toBe(1);
  });
});

describe("durations", () => {
  test("a bucket holds what does not exceed its bound", () => {
    const measurements = measure(jp);
    const milliseconds = durationBuckets.flatMap((bound) => [bound * 1_000, bound * 1_000 + 1]);
    for (const durationMilliseconds of [0, ...milliseconds])
      measurements.count(record({ durationMilliseconds }), now);
    const exposition = expose(measurements);
    const labels = { ...jpLabels, endpoint: "config" };
    durationBuckets.forEach((bound) => {
      const expected = [0, ...milliseconds].filter((value) => value <= bound * 1_000).length;
      expect(
        valueOf(exposition, "vps_request_duration_seconds_bucket", { ...labels, le: String(bound) }),
      ).toBe(expected);
    });
    expect(valueOf(exposition, "vps_request_duration_seconds_bucket", { ...labels, le: "+Inf" })).toBe(25);
    expect(valueOf(exposition, "vps_request_duration_seconds_count", labels)).toBe(25);
    const sum = milliseconds.reduce((total, value) => total + value, 0) / 1_000;
    expect(valueOf(exposition, "vps_request_duration_seconds_sum", labels)).toBe(sum);
  });

  test.each([
    ["missing", undefined, "missing"],
    ["nonsense", Number.NaN, "invalid"],
    ["negative", -1, "invalid"],
    ["longer than a day", longestDurationMilliseconds + 1, "invalid"],
    ["endless", Number.POSITIVE_INFINITY, "invalid"],
  ] as const)(
    "one that is %s counts the request and not the duration",
    (_name, durationMilliseconds, fault) => {
      const measurements = measure(jp);
      measurements.count(record({ durationMilliseconds }), now);
      const exposition = expose(measurements);
      expect(sumOf(exposition, "vps_requests_total", jpLabels)).toBe(1);
      expect(sumOf(exposition, "vps_request_duration_seconds_count")).toBe(0);
      expect(measurements.tally.faultCount("duration", fault)).toBe(1);
    },
  );

  test("100,000 of a tenth of a second add up without rounding", () => {
    const measurements = measure(jp);
    const thousand = Array.from({ length: 1_000 }, () => ({ durationMilliseconds: 100 }));
    const batch = batchOf(...thousand);
    for (let turn = 0; turn < 100; turn += 1) measurements.count(batch, now);
    expect(
      valueOf(expose(measurements), "vps_request_duration_seconds_sum", { ...jpLabels, endpoint: "config" }),
    ).toBe(10_000);
  });
});

describe("other fields", () => {
  test.each([
    ["code", { code: undefined }, "missing"],
    ["code", { code: Number.NaN }, "invalid"],
    ["code", { code: 999 }, "invalid"],
    ["request_bytes", { requestBytes: undefined }, "missing"],
    ["request_bytes", { requestBytes: -1 }, "invalid"],
    ["response_bytes", { responseBytes: largestBodyBytes + 1 }, "invalid"],
    ["response_bytes", { responseBytes: undefined }, "missing"],
    ["time", { timeSeconds: undefined }, "missing"],
    ["time", { timeSeconds: now + 60 }, "invalid"],
  ] as const)("%s %j is noted as %s, and the request counts", (field, fields, fault) => {
    const measurements = measure(jp);
    measurements.count(record(fields), now);
    const exposition = expose(measurements);
    expect(sumOf(exposition, "vps_requests_total", jpLabels)).toBe(1);
    expect(measurements.tally.faultCount(field, fault)).toBe(1);
    for (const { value } of exposition.samples) expect(Number.isFinite(value) && value >= 0).toBe(true);
  });

  test("code 0 is an answer that nobody waited for, and no fault", () => {
    const measurements = measure(jp);
    measurements.count(record({ code: 0 }), now);
    expect(
      valueOf(expose(measurements), "vps_requests_total", {
        ...jpLabels,
        endpoint: "config",
        method: "GET",
        code: "0",
      }),
    ).toBe(1);
    expect(
      measurements.tally.faultCount("code", "missing") + measurements.tally.faultCount("code", "invalid"),
    ).toBe(0);
  });

  test("the last request is the latest one, never in the future", () => {
    const measurements = measure(jp);
    const lastSeen = (timeSeconds: number | undefined) => {
      measurements.count(record({ timeSeconds }), now);
      return valueOf(expose(measurements), "vps_last_request_timestamp_seconds", jpLabels);
    };
    expect(lastSeen(now - 50)).toBe(now - 50);
    expect(lastSeen(now - 90)).toBe(now - 50);
    expect(lastSeen(now - 10.25)).toBe(now - 10.25);
    expect(lastSeen(now + 3_600)).toBe(now);
    expect(lastSeen(now - 1)).toBe(now);
  });
});

describe("an inventory that changes", () => {
  const countAll = (measurements: Measurements) => {
    measurements.count(record(), now);
    measurements.count(record({ clientAddress: "203.0.113.8", nodeId: "" }), now);
  };

  test("a new VPS starts at 0, the others keep their counts", () => {
    const measurements = measure(jp);
    countAll(measurements);
    setFleet(measurements, hk, jp);
    const exposition = expose(measurements);
    expect(
      ["jp-004", "hk-001", "unknown"].map((vps) => sumOf(exposition, "vps_requests_total", { vps })),
    ).toEqual([1, 0, 1]);
    countAll(measurements);
    expect(sumOf(expose(measurements), "vps_requests_total", { vps: "hk-001" })).toBe(1);
  });

  test("the series of a VPS that leaves vanish, and its address is unknown", () => {
    const measurements = measure(jp, hk);
    countAll(measurements);
    setFleet(measurements, hk);
    expect(expose(measurements).samples.filter(({ labels }) => labels["vps"] === "jp-004")).toEqual([]);
    countAll(measurements);
    const exposition = expose(measurements);
    expect(sumOf(exposition, "vps_requests_total", { vps: "hk-001" })).toBe(2);
    expect(sumOf(exposition, "vps_requests_total", unknownLabels)).toBe(1);
    setFleet(measurements, jp);
    expect(sumOf(expose(measurements), "vps_requests_total", jpLabels)).toBe(0);
  });

  test("a VPS that moves to another region counts there from 0", () => {
    const measurements = measure(jp);
    countAll(measurements);
    setFleet(measurements, { ...jp, region: "us" });
    expect(expose(measurements).samples.filter(({ labels }) => labels["region"] === "jp")).toEqual([]);
    countAll(measurements);
    expect(sumOf(expose(measurements), "vps_requests_total", { vps: "jp-004", region: "us" })).toBe(1);
  });

  test("a VPS that gets a new address goes on counting, and its old one is unknown", () => {
    const measurements = measure(jp);
    countAll(measurements);
    setFleet(measurements, { ...jp, addresses: ["203.0.113.99"], state: "paused" });
    measurements.count(record({ clientAddress: "203.0.113.99" }), now);
    measurements.count(record(), now);
    const exposition = expose(measurements);
    expect(sumOf(exposition, "vps_requests_total", jpLabels)).toBe(2);
    expect(sumOf(exposition, "vps_requests_total", unknownLabels)).toBe(2);
    expect(select(exposition, "vps_info")).toEqual([
      {
        name: "vps_info",
        labels: { ...jpLabels, address: "203.0.113.99", provider: "example", state: "paused" },
        value: 1,
      },
    ]);
  });

  test("two VPSes that swap their addresses keep their names' counts", () => {
    const measurements = measure(jp, hk);
    measurements.count(record(), now);
    setFleet(measurements, { ...jp, addresses: hk.addresses }, { ...hk, addresses: jp.addresses });
    measurements.count(record({ nodeId: "" }), now);
    const exposition = expose(measurements);
    expect(["jp-004", "hk-001"].map((vps) => sumOf(exposition, "vps_requests_total", { vps }))).toEqual([
      1, 1,
    ]);
  });
});

test("100,000 callers that send whatever they like make no more series than there are labels", () => {
  const measurements = measure(jp);
  for (let first = 0; first < 100_000; first += 1_000) {
    const records = Array.from({ length: 1_000 }, (_, index) => first + index).map((turn) => ({
      clientAddress: turn % 2 === 0 ? `2001:db8::${turn.toString(16)}` : `x${turn}`,
      method: `M${turn}`,
      path: `/api/v1/server/UniProxy/${turn}`,
      nodeId: String(turn),
      code: turn,
    }));
    measurements.count(batchOf(...records), now);
  }
  const exposition = expose(measurements);
  expect(select(exposition, "vps_requests_total", unknownLabels).length).toBeLessThanOrEqual(20 + 501);
  expect(sumOf(exposition, "vps_requests_total", unknownLabels)).toBe(100_000);
  expect(new Set(exposition.samples.map(({ labels }) => labels["vps"]))).toEqual(
    new Set(["jp-004", "unknown"]),
  );
  const shown = new Set(
    exposition.samples.map(({ labels }) => labels["endpoint"]).filter((endpoint) => endpoint !== undefined),
  );
  expect([...shown].every((endpoint) => endpoints.some((known) => known === endpoint))).toBe(true);
});

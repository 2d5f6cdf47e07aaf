/** The rules in Prometheus' own unit tests (promtool): each alert fires when it must, and stays silent when it must. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { stringify } from "yaml";
import { ruleGroups } from "../../rules";
import { gatewayRecords } from "../../rules/completeness";
import { partPath } from "../../sandbox/parts/find";
import { firing, inputSeries, promtool, settings } from "./support/promtool";

let directory = "";

// Each test starts promtool a few times.
jest.setTimeout(60_000);

beforeAll(() => (directory = mkdtempSync(path.join(tmpdir(), "vpsight-rules-"))));
afterAll(() => rmSync(directory, { recursive: true }));

const counted = (pod: string) => `vpsight_exporter_records_total{result="counted",pod="${pod}"}`;
const written = (pod: string) => `${gatewayRecords.written}{pod="${pod}"}`;
const dropped = (pod: string) => `${gatewayRecords.dropped}{pod="${pod}"}`;
/** 100 requests a minute through the gateway, none given up. */
const gateway = { [written("g1")]: "0+25x480", [dropped("g1")]: "0x480" };

const healthy = { 'vpsight_exporter_build_info{pod="a"}': "1x480" };

test("promtool finds nothing to object to", () => {
  const file = path.join(directory, "checked.yaml");
  writeFileSync(file, stringify({ groups: ruleGroups(settings) }));
  expect(
    execFileSync(partPath("promtool"), ["check", "rules", "--lint=all", file], { encoding: "utf8" }),
  ).toContain("SUCCESS");
});

describe("TelemetryIncomplete", () => {
  test("fires when a fifth is missing, and not before it has lasted", () => {
    expect(
      firing(
        { ...gateway, ...healthy, [counted("a")]: "0+20x480" },
        { "10m": [], "45m": ["TelemetryIncomplete"] },
      ),
    ).toBe("");
  });

  test("says what is missing, and where to read on", () => {
    expect(
      promtool({
        interval: "15s",
        input_series: inputSeries({ ...gateway, ...healthy, [counted("a")]: "0+20x480" }),
        alert_rule_test: [
          {
            eval_time: "45m",
            alertname: "TelemetryIncomplete",
            exp_alerts: [
              {
                exp_labels: { severity: "warning" },
                exp_annotations: {
                  summary: "Requests of the fleet are missing from its metrics.",
                  description:
                    "Only 80% of the requests that the gateway reports for the last 30m are counted; 95 % or more are " +
                    "normal. Rates and error ratios per VPS are too low by as much.",
                  runbook_url: "https://runbooks.example/TelemetryIncomplete.md",
                },
              },
            ],
          },
        ],
      }),
    ).toBe("");
  });

  test.each([
    ["everything is counted", { [counted("a")]: "0+25x480" }],
    ["two replicas share", { [counted("a")]: "0+10x480", [counted("b")]: "0+15x480" }],
    ["an exporter starts again: its counter is reset", { [counted("a")]: "0+25x160 12+25x320" }],
    [
      "a rolling update: the new pod's first records are not seen to increase",
      { [counted("a")]: "0+25x160 stale", [counted("b")]: "_x160 20+25x320" },
    ],
    ["nothing is asked", { [counted("a")]: "0x480", [written("g1")]: "0x480" }],
    ["a handful is missing of a handful", { [counted("a")]: "0x480", [written("g1")]: "0x120 1x360" }],
    [
      "a new gateway pod takes over",
      { [counted("a")]: "0+25x480", [written("g1")]: "0+25x160 stale", [written("g2")]: "_x160 0+25x320" },
    ],
  ])("is silent when %s", (_case, series) => {
    expect(
      firing({ ...gateway, ...healthy, ...series }, { "41m": [], "45m": [], "55m": [], "75m": [] }),
    ).toBe("");
  });

  test("takes the mesh's own request count for the truth where it is told to", () => {
    const selector = 'istio_requests_total{reporter="source",destination_service_name="server-api"}';
    const istio = { [selector.replace("}", ',pod="g1"}')]: "0+50x480" };
    const series = { ...gateway, ...healthy, [counted("a")]: "0+25x480", ...istio };
    expect(firing(series, { "45m": [] })).toBe("");
    expect(firing(series, { "45m": ["TelemetryIncomplete"] }, { expectedRequests: selector })).toBe("");
  });
});

describe("TelemetryDropped", () => {
  const complete = { ...gateway, ...healthy, [counted("a")]: "0+25x480" };

  test("fires at once and is over when nothing was given up for a while", () => {
    const series = { ...complete, [dropped("g1")]: "0x80 3x400" };
    expect(firing(series, { "19m": [], "21m": ["TelemetryDropped"], "40m": [] })).toBe("");
  });

  test("is silent when a gateway pod that had dropped records ends, and another begins", () => {
    const series = { ...complete, [dropped("g1")]: "7x160 stale", [dropped("g2")]: "_x160 0x320" };
    expect(firing(series, { "30m": [], "42m": [], "50m": [] })).toBe("");
  });
});

test("TelemetryUnmeasured fires when the gateway's counters are absent, and not for a short gap", () => {
  const others = { ...healthy, [counted("a")]: "0+25x480" };
  expect(firing(others, { "10m": [], "16m": ["TelemetryUnmeasured"] })).toBe("");
  const gap = { [written("g1")]: "0+25x80 _x30 0+25x300", [dropped("g1")]: "0x80 _x30 0x300" };
  expect(firing({ ...others, ...gap }, { "24m": [], "40m": [] })).toBe("");
});

test("ExporterDown fires when no exporter is scraped, and not while one of two restarts", () => {
  const build = (pod: string) => `vpsight_exporter_build_info{pod="${pod}"}`;
  const series = { ...gateway, [counted("a")]: "0+25x480" };
  expect(firing({ ...series, [build("a")]: "1x80 stale" }, { "20m": [], "23m": ["ExporterDown"] })).toBe("");
  expect(
    firing({ ...series, [build("a")]: "1x80 stale", [build("b")]: "1x480" }, { "23m": [], "60m": [] }),
  ).toBe("");
  expect(
    firing({ ...series, [build("a")]: "1x80 stale _x3 1x380" }, { "20m": [], "21m": [], "23m": [] }),
  ).toBe("");
});

test("InventoryStale fires when a source stays wrong, and not for one bad read", () => {
  const load = (source: string) => `vpsight_exporter_inventory_last_load_ok{source="${source}"}`;
  const series = { ...gateway, ...healthy, [counted("a")]: "0+25x480", [load("file")]: "1x480" };
  expect(firing({ ...series, [load("http")]: "1x40 0x440" }, { "20m": [], "26m": ["InventoryStale"] })).toBe(
    "",
  );
  expect(firing({ ...series, [load("http")]: "1x40 0x20 1x420" }, { "14m": [], "26m": [] })).toBe("");
});

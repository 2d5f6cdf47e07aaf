import { readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../exporter/version";
import { judge, median, pairedMedian, resultsSchema, type Results } from "../../bench/results";
import { columns, renderReport } from "../../bench/report";
import { renderChart } from "../../bench/chart";
import { figuresOf } from "../../bench/gateway/figures";
import { pinOf, pins } from "../../sandbox/parts/pins";
import { isFit } from "../../sandbox/parts/version";

const counting = (name: string, recordsPerCpuSecond: number) => ({
  ...{ name, title: `the ${name}`, recordsPerCpuSecond, residentMiB: 100 },
  ...{ sent: 1_000, counted: 1_000 },
});
const variant = (name: string, cpu: number) => ({
  ...{ name, title: `log <${name}>`, cpu, ratioToNone: cpu / 40, p50Ms: 1, p99Ms: 2 },
});

const good: Results = {
  run: "full",
  date: "2026-11-22T23:00:00.000Z",
  cores: 2,
  cpuModel: "a processor",
  loadAverage: 0.1,
  versions: { exporter: "0.1.0", node: "24.0.0", envoy: "1.40.0", otelCollector: "0.155.0", mtail: "3.0.0" },
  ratioToCollector: 5,
  ratioToCountingCollector: 6,
  ratioToMtail: 7,
  counting: [counting("exporter", 1_000_000), counting("collector", 200_000)],
  unknownFlood: { addresses: 1_000_000, growthMiB: 2, unknownSeries: 3 },
  fleet10000: { scrapeSeconds: 0.5, maxStallMs: 20, rssMiB: 300 },
  flatness: 1.1,
  gateway: {
    ...{ ratioToIstioJson: 1.04, addedRatioToIstioJson: 1.3, outOfScopeAdded: 0.01, addedP99Ms: 0.1 },
    variants: [variant("none", 40), variant("both", 48)],
  },
};
const missed = (results: Results) =>
  judge(results)
    .filter(({ met }) => !met)
    .map(({ name }) => name);

test("a run that meets every goal has none missed, and each goal can be missed", () => {
  expect(missed(good)).toEqual([]);
  expect(missed({ ...good, ratioToCollector: 3.99 })).toEqual(["ratioToCollector"]);
  expect(missed({ ...good, flatness: 1.3 })).toEqual(["flatness"]);
  expect(missed({ ...good, unknownFlood: { ...good.unknownFlood, growthMiB: 10.1 } })).toEqual([
    "unknownFlood.growthMiB",
  ]);
  const fleet10000 = { scrapeSeconds: 1.1, maxStallMs: 51, rssMiB: 401 };
  expect(missed({ ...good, fleet10000 })).toEqual(Object.keys(fleet10000).map((key) => `fleet10000.${key}`));
  const gateway = { ...good.gateway, ratioToIstioJson: 1.06, outOfScopeAdded: 0.03 };
  expect(missed({ ...good, gateway })).toEqual(["gateway.ratioToIstioJson", "gateway.outOfScopeAdded"]);
});

test("a fast exporter that miscounts does not pass", () => {
  const [own, collector] = good.counting;
  if (own === undefined || collector === undefined) throw new Error("the sample is incomplete");
  expect(missed({ ...good, counting: [{ ...own, counted: 999 }, collector] })).toEqual([
    "exporter's miscount",
  ]);
  expect(missed({ ...good, counting: [collector] })).toEqual(["exporter's miscount"]);
});

test("medians, and medians of what was measured in the same round", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(() => median([])).toThrow(RangeError);
  // The second round was slow for both: the ratio does not see it.
  expect(pairedMedian([10, 100, 11], [5, 50, 5], (left, right) => left / right)).toBe(2);
  expect(() => pairedMedian([1], [1, 2], (left) => left)).toThrow(RangeError);
});

test("the gateway's figures are differences within a round", () => {
  const variants = ["none", "istioJson", "both", "outOfScope"].map((name) => ({
    ...{ name, title: name, loggers: [], path: "/" },
  }));
  const latencies = (p99s: number[]) => p99s.map((p99) => ({ p50: 1, p99 }));
  const turns = {
    cpu: new Map([
      ["none", [40, 80, 40]],
      ["istioJson", [50, 100, 50]],
      ["both", [52, 104, 52]],
      ["outOfScope", [40.4, 80.8, 40.4]],
    ]),
    latencies: new Map([
      ["none", latencies([2, 4, 2])],
      ["istioJson", latencies([2, 4, 2])],
      ["both", latencies([2.5, 5, 2.5])],
      ["outOfScope", latencies([2, 4, 2])],
    ]),
  };
  const figures = figuresOf(variants, turns);
  expect(figures.ratioToIstioJson).toBeCloseTo(1.04);
  expect(figures.addedRatioToIstioJson).toBeCloseTo(1.2);
  expect(figures.outOfScopeAdded).toBeCloseTo(0.01);
  expect(figures.addedP99Ms).toBeCloseTo(0.5);
});

test("the report has a line for each contender, variant and goal, and says what is missed", () => {
  const lines = renderReport(good, judge({ ...good, flatness: 2 }));
  expect(lines).toContain(
    "  the collector                 200,000                5.00 x  100 MiB  1,000 of 1,000",
  );
  expect(lines.filter((line) => line.endsWith("NOT MET"))).toHaveLength(1);
  expect(columns(["a", "b"], [["long", "1"]])).toEqual(["  a     b", "  long  1"]);
});

test("the chart is one well-formed picture with a bar for each figure", () => {
  const chart = renderChart(good);
  expect(chart.match(/<rect /g)).toHaveLength(4);
  expect(chart).toContain("log &lt;both>");
  expect(chart).toContain("prefers-color-scheme: dark");
  const longest = [...chart.matchAll(/<rect class="own"[^>]* width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  expect(longest).toEqual([340, 340]);
});

describe("the results that are checked in", () => {
  const file = join(__dirname, "../../bench/results.json");
  const results = resultsSchema.parse(JSON.parse(readFileSync(file, "utf8")));

  it("are of the versions that are pinned now", () => {
    const { envoy, otelCollector, mtail, exporter, node } = results.versions;
    expect(envoy).toBe(pinOf("envoy").version);
    expect(otelCollector).toBe(pinOf("otel-collector").version);
    expect(isFit(mtail, pinOf("mtail").fit ?? "")).toBe(true);
    expect(exporter).toBe(version);
    expect(isFit(node, `>=${pins.tools.node.minimum}`)).toBe(true);
  });

  it("are what the chart in docs/ is drawn from", () => {
    expect(Date.parse(results.date)).toBeGreaterThan(Date.parse("2026-11-01"));
    const chart = readFileSync(join(__dirname, "../../docs/benchmark.svg"), "utf8");
    expect(chart).toBe(renderChart(results));
  });
});

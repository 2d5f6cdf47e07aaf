/** The alerts about VPSes, regions and callers in Prometheus' own unit tests: each fires when it must, and not when it must not. */
import { gatewayRecords } from "../../rules/completeness";
import { proxyProtocolCounters } from "../../rules/callers";
import { recorded } from "../../rules/recorded";
import { firing, inputSeries, promtool, type SeriesValues } from "./support/promtool";

// Each test starts promtool a few times.
jest.setTimeout(60_000);

/** Two hours of samples, four a minute. */
const always = 480;

/** Nothing wrong with the telemetry itself. */
const base: SeriesValues = {
  'vpsight_exporter_build_info{pod="a"}': `1x${always}`,
  'vpsight_exporter_records_total{result="counted",pod="a"}': `0+25x${always}`,
  [`${gatewayRecords.written}{pod="g"}`]: `0+25x${always}`,
  [`${gatewayRecords.dropped}{pod="g"}`]: `0x${always}`,
};

/** What an exporter shows of one VPS. A healthy one by default: four requests a minute, each heard at once. */
function vps(
  name: string,
  values: { info?: string; lastRequest?: string; ok?: string; failed?: string } = {},
  { region = "jp", pod = "a", state = "active" } = {},
): SeriesValues {
  const who = `vps="${name}",region="${region}",pod="${pod}"`;
  const requests = (code: string) =>
    `vps_requests_total{${who},endpoint="config",method="GET",code="${code}"}`;
  return {
    [`vps_info{${who},state="${state}"}`]: values.info ?? `1x${always}`,
    [`vps_last_request_timestamp_seconds{${who}}`]: values.lastRequest ?? `0+15x${always}`,
    [requests("304")]: values.ok ?? `0+1x${always}`,
    [requests("500")]: values.failed ?? `0x${always}`,
  };
}

const fleet = (count: number, region = "jp") =>
  Object.assign(
    {},
    ...Array.from({ length: count }, (_, index) => vps(`${region}-1${index}`, {}, { region })),
  ) as SeriesValues;

/** Polls for 20 minutes, then never again. */
const silentFrom20 = { lastRequest: `0+15x80 1200x400`, ok: `0+1x80 80x400` };
const neverHeard = { lastRequest: `0x${always}`, ok: `0x${always}` };

test("a fleet that never failed has an error ratio of 0, and not none", () => {
  const series = Object.fromEntries(
    Object.entries({ ...base, ...fleet(2) }).filter(([name]) => !name.includes('code="500"')),
  );
  const zero = (expr: string, ...labels: string[]) => ({
    expr,
    eval_time: "1h",
    exp_samples: labels.map((each) => ({ labels: `${expr}{${each}}`, value: 0 })),
  });
  expect(
    promtool({
      interval: "15s",
      input_series: inputSeries(series),
      promql_expr_test: [
        zero(recorded.vps.errorRatio, 'vps="jp-10",region="jp"', 'vps="jp-11",region="jp"'),
        zero(recorded.region.errorRatio, 'region="jp"'),
        zero(recorded.region.budgetRatio("1h"), 'region="jp"'),
      ],
    }),
  ).toBe("");
});

test("a healthy fleet raises nothing", () => {
  expect(firing({ ...base, ...fleet(5) }, { "1m": [], "15m": [], "1h": [], "2h": [] })).toBe("");
});

describe("VpsSilent", () => {
  test("fires ten minutes after the last request, and ends with the next one", () => {
    const back = { lastRequest: `0+15x80 1200x80 2400+15x320`, ok: `0+1x80 80x80 80+1x320` };
    const times = { "24m": [], "30m": [], "31m": ["VpsSilent"], "39m": ["VpsSilent"], "41m": [], "60m": [] };
    expect(firing({ ...base, ...fleet(3), ...vps("jp-004", back) }, times)).toBe("");
  });

  test("says who, where and for how long", () => {
    expect(
      promtool({
        interval: "15s",
        input_series: inputSeries({ ...base, ...fleet(3), ...vps("jp-004", silentFrom20) }),
        alert_rule_test: [
          {
            eval_time: "40m",
            alertname: "VpsSilent",
            exp_alerts: [
              {
                exp_labels: { severity: "warning", vps: "jp-004", region: "jp" },
                exp_annotations: {
                  summary: "A VPS has fallen silent.",
                  description: "jp-004 (jp) has not been heard for 20m 0s; it should ask once a minute.",
                  runbook_url: "https://runbooks.example/VpsSilent.md",
                },
              },
            ],
          },
        ],
      }),
    ).toBe("");
  });

  test.each<[string, SeriesValues]>([
    ["a VPS is paused", vps("jp-004", silentFrom20, { state: "paused" })],
    ["a VPS is retired", vps("jp-004", silentFrom20, { state: "retired" })],
    [
      "a VPS is thrown away and leaves the inventory",
      vps("jp-004", {
        info: "1x80 stale",
        lastRequest: "0+15x80 stale",
        ok: "0+1x80 stale",
        failed: "0x80 stale",
      }),
    ],
    [
      "a VPS is new and asks within a minute",
      vps("jp-004", {
        ...{
          info: `_x120 1x360`,
          lastRequest: `_x120 0x4 1875+15x350`,
          ok: `_x120 0+1x350`,
          failed: `_x120 0x360`,
        },
      }),
    ],
    [
      "the exporter restarts: it knows no last request until the next one",
      {
        ...vps("jp-004", {
          ...{ info: "1x80 stale", lastRequest: "0+15x80 stale", ok: "0+1x80 stale", failed: "0x80 stale" },
        }),
        ...vps(
          "jp-004",
          {
            info: "_x82 1x390",
            lastRequest: "_x82 0x4 1305+15x380",
            ok: "_x82 0x4 1+1x380",
            failed: "_x82 0x390",
          },
          { pod: "b" },
        ),
      },
    ],
    [
      "one of two replicas hears it no more, as its connection moved to the other",
      { ...vps("jp-004", silentFrom20), ...vps("jp-004", { lastRequest: `0x80 1215+15x400` }, { pod: "b" }) },
    ],
  ])("is silent when %s", (_case, series) => {
    expect(
      firing({ ...base, ...fleet(3), ...series }, { "21m": [], "26m": [], "31m": [], "45m": [], "70m": [] }),
    ).toBe("");
  });

  test("an exporter that restarts does not forget who was silent before", () => {
    const before = {
      info: "1x160 stale",
      lastRequest: "0+15x80 1200x80 stale",
      ok: "0+1x80 80x80 stale",
      failed: "0x160 stale",
    };
    const after = {
      info: "_x162 1x300",
      lastRequest: "_x162 0x300",
      ok: "_x162 0x300",
      failed: "_x162 0x300",
    };
    const series = { ...vps("jp-004", before), ...vps("jp-004", after, { pod: "b" }) };
    const times = { "39m": ["VpsSilent"], "50m": ["VpsSilent"], "75m": ["VpsSilent"] };
    expect(firing({ ...base, ...fleet(3), ...series }, times)).toBe("");
  });

  test("while no exporter is there, one alert says so, and after it has come back none is about a VPS", () => {
    // Away from minute 20 to 40; each VPS is heard again within a minute.
    const gap = (before: string, after: string) => `${before} stale _x78 ${after}`;
    const one = (name: string) =>
      vps(name, {
        ...{ info: gap("1x80", "1x320"), lastRequest: gap("0+15x80", "0x4 2460+15x316") },
        ...{ ok: gap("0+1x80", "0x4 1+1x316"), failed: gap("0x80", "0x320") },
      });
    const series = { ...one("jp-1"), ...one("jp-2"), ...one("jp-3"), ...one("jp-4") };
    const away = {
      ...base,
      'vpsight_exporter_build_info{pod="a"}': gap("1x80", "1x320"),
      [`vpsight_exporter_records_total{result="counted",pod="a"}`]: `0+25x${always}`,
    };
    const times = { "30m": ["ExporterDown"], "39m": ["ExporterDown"], "42m": [], "46m": [], "60m": [] };
    expect(firing({ ...away, ...series }, times)).toBe("");
  });
});

describe("VpsNeverSeen", () => {
  test("fires half an hour after a VPS entered the inventory without a word", () => {
    const late = { info: "_x80 1x400", lastRequest: "_x80 0x400", ok: "_x80 0x400", failed: "_x80 0x400" };
    const times = { "49m": [], "51m": ["VpsNeverSeen"], "2h": ["VpsNeverSeen"] };
    expect(firing({ ...base, ...fleet(3), ...vps("jp-004", late) }, times)).toBe("");
  });

  test.each<[string, SeriesValues]>([
    ["a VPS is paused", vps("jp-004", neverHeard, { state: "paused" })],
    ["a VPS is retired", vps("jp-004", neverHeard, { state: "retired" })],
    [
      "only the other replica has heard it",
      { ...vps("jp-004", neverHeard), ...vps("jp-004", {}, { pod: "b" }) },
    ],
  ])("is silent when %s", (_case, series) => {
    expect(firing({ ...base, ...fleet(3), ...series }, { "31m": [], "45m": [], "2h": [] })).toBe("");
  });
});

describe("VpsErrorRatioHigh", () => {
  test("fires when a third fails, and ends when it does not any more", () => {
    const failing = { ok: `0+2x${always}`, failed: "0+1x160 160x320" };
    const times = { "4m": [], "15m": ["VpsErrorRatioHigh"], "40m": ["VpsErrorRatioHigh"], "60m": [] };
    expect(firing({ ...base, ...fleet(3), ...vps("jp-004", failing) }, times, quietBudget)).toBe("");
  });

  test.each<[string, SeriesValues]>([
    ["a tenth fails", vps("jp-004", { ok: `0+9x${always}`, failed: `0+1x${always}` })],
    ["a few of a few fail", vps("jp-004", { ok: "0x480", failed: "0x100 1x4 2x4 3x372" })],
    ["a VPS is paused", vps("jp-004", { ok: `0+1x${always}`, failed: `0+1x${always}` }, { state: "paused" })],
    ["an exporter's counters are reset", vps("jp-004", { ok: "0+1x160 0+1x320", failed: "5x160 0x320" })],
  ])("is silent when %s", (_case, series) => {
    const times = { "15m": [], "30m": [], "42m": [], "60m": [] };
    expect(firing({ ...base, ...fleet(3), ...series }, times, quietBudget)).toBe("");
  });
});

describe("VpsLatencyHigh", () => {
  const buckets = (fast: string, all: string, pod = "a") => {
    const name = `vps_request_duration_seconds_bucket{vps="jp-004",region="jp",endpoint="config",pod="${pod}"`;
    return { [`${name},le="1"}`]: fast, [`${name},le="5"}`]: all, [`${name},le="+Inf"}`]: all };
  };

  test("fires when one in ten is slow", () => {
    const series = { ...vps("jp-004"), ...buckets(`0+9x${always}`, `0+10x${always}`) };
    expect(firing({ ...base, ...fleet(3), ...series }, { "8m": [], "30m": ["VpsLatencyHigh"] })).toBe("");
  });

  test("is silent when one in fifty is, and after a reset", () => {
    const series = { ...vps("jp-004"), ...buckets("0+49x160 0+49x320", "0+50x160 0+50x320") };
    expect(firing({ ...base, ...fleet(3), ...series }, { "30m": [], "42m": [], "60m": [] })).toBe("");
  });
});

describe("RegionDegraded", () => {
  const silent = (count: number, state = "active") =>
    Object.assign(
      {},
      ...Array.from({ length: count }, (_, index) => vps(`jp-00${index}`, silentFrom20, { state })),
    ) as SeriesValues;

  test("one alert instead of five, and the ones about VPSes when it is over", () => {
    const series = { ...base, ...fleet(5), ...fleet(3, "hk"), ...silent(5) };
    expect(firing(series, { "28m": [], "31m": ["RegionDegraded"], "60m": ["RegionDegraded"] })).toBe("");
  });

  test("two of seven are two alerts, three of sixteen three", () => {
    expect(firing({ ...base, ...fleet(5), ...silent(2) }, { "31m": ["VpsSilent x2"] })).toBe("");
    const large = { ...fleet(5), ...fleet(8, "jp"), ...silent(3) };
    const others = Object.assign(
      {},
      ...Array.from({ length: 5 }, (_, index) => vps(`jp-2${index}`)),
    ) as SeriesValues;
    expect(firing({ ...base, ...large, ...others }, { "31m": ["VpsSilent x3"] })).toBe("");
  });

  test("paused VPSes do not count", () => {
    expect(firing({ ...base, ...fleet(5), ...silent(5, "paused") }, { "31m": [], "60m": [] })).toBe("");
  });
});

describe("error budgets", () => {
  // Every VPS of the region fails alike, below what raises an alert about each.
  const spending = (failed: string, ok: string, state = "active") =>
    Object.assign(
      {},
      ...["jp-1", "jp-2", "jp-3"].map((name) => vps(name, { ok, failed }, { state })),
    ) as SeriesValues;

  test("15 % of failures burn fast", () => {
    const series = { ...base, ...spending(`0+15x${always}`, `0+85x${always}`) };
    expect(
      firing(series, {
        "60m": ["RegionErrorBudgetBurnFast", "RegionErrorBudgetBurn", "RegionErrorBudgetBurnSlow"],
      }),
    ).toBe("");
  });

  test("4 % burn slowly, 2 % not at all, and paused VPSes spend nothing", () => {
    expect(
      firing(
        { ...base, ...spending(`0+4x${always}`, `0+96x${always}`) },
        { "60m": ["RegionErrorBudgetBurnSlow"] },
      ),
    ).toBe("");
    expect(firing({ ...base, ...spending(`0+2x${always}`, `0+98x${always}`) }, { "60m": [], "2h": [] })).toBe(
      "",
    );
    expect(
      firing({ ...base, ...spending(`0+15x${always}`, `0+85x${always}`, "paused") }, { "60m": [] }),
    ).toBe("");
  });

  test("it ends within minutes after the failures do", () => {
    const series = { ...base, ...spending("0+15x240 3600x240", `0+85x${always}`) };
    const over = firing(series, {
      "59m": ["RegionErrorBudgetBurnFast", "RegionErrorBudgetBurn", "RegionErrorBudgetBurnSlow"],
      "68m": ["RegionErrorBudgetBurn", "RegionErrorBudgetBurnSlow"],
    });
    expect(over).toBe("");
  });
});

describe("unknown callers", () => {
  const stranger = (code: string, values: string, endpoint = "user") => ({
    [`vps_requests_total{vps="unknown",region="unknown",endpoint="${endpoint}",method="GET",code="${code}",pod="a"}`]:
      values,
  });

  test("UnknownCallerWithValidToken fires at once when one is served, and not when all are refused", () => {
    const served = { ...base, ...fleet(3), ...stranger("200", "0x80 1x400") };
    expect(firing(served, { "19m": [], "21m": ["UnknownCallerWithValidToken"], "40m": [] })).toBe("");
    expect(firing(served, { "21m": [] }, { addressesKnown: false })).toBe("");
    const refused = {
      ...base,
      ...fleet(3),
      ...stranger("422", `0+1x${always}`),
      ...stranger("200", `0+1x${always}`, "other"),
    };
    expect(firing(refused, { "21m": [], "60m": [] })).toBe("");
    const restarted = {
      'vps_requests_total{vps="unknown",region="unknown",endpoint="user",method="GET",code="200",pod="b"}':
        "_x82 0x390",
    };
    const restart = { ...base, ...fleet(3), ...stranger("200", "7x80 stale"), ...restarted };
    expect(firing(restart, { "21m": [], "30m": [] })).toBe("");
  });

  test("UnknownCallersRising fires when there are many more than before, and not for a steady crowd", () => {
    const rising = { ...base, ...fleet(3), ...stranger("422", "0+15x240 3600+150x240") };
    expect(firing(rising, { "59m": [], "90m": ["UnknownCallersRising"] })).toBe("");
    const steady = { ...base, ...fleet(3), ...stranger("422", `0+150x${always}`) };
    expect(firing(steady, { "60m": [], "2h": [] })).toBe("");
    const few = { ...base, ...fleet(3), ...stranger("422", "0x240 0+1x240") };
    expect(firing(few, { "90m": [] })).toBe("");
  });
});

describe("NodeIdMismatch", () => {
  const mismatch = (values: string, name = "jp-10") => ({
    [`vps_node_id_mismatch_total{vps="${name}",region="jp",pod="a"}`]: values,
  });

  test("fires while a VPS goes on, and not for a slip, a reset, or a VPS that is paused", () => {
    const series = { ...base, ...fleet(3) };
    expect(firing({ ...series, ...mismatch(`0x80 1+1x400`) }, { "24m": [], "30m": ["NodeIdMismatch"] })).toBe(
      "",
    );
    expect(firing({ ...series, ...mismatch("7x160 0x320") }, { "41m": [], "50m": [] })).toBe("");
    const paused = { ...vps("jp-004", {}, { state: "paused" }), ...mismatch(`0x80 1+1x400`, "jp-004") };
    expect(firing({ ...series, ...paused }, { "30m": [] })).toBe("");
  });
});

describe("ProxyProtocolBroken", () => {
  const privateCallers = (values: string) => ({
    'vpsight_exporter_unknown_requests_total{reason="private_address",pod="a"}': values,
  });

  test("fires when callers come from private addresses, from stage send on, and not for a health check's few", () => {
    const series = { ...base, ...fleet(3), ...privateCallers("0x80 0+20x400") };
    expect(firing(series, { "21m": [], "30m": ["ProxyProtocolBroken"] })).toBe("");
    expect(firing(series, { "30m": [] }, { addressesKnown: false })).toBe("");
    expect(
      firing({ ...base, ...fleet(3), ...privateCallers(`0+1x${always}`) }, { "30m": [], "60m": [] }),
    ).toBe("");
  });
});

test("connections with and without a PROXY header are recorded from Envoy's own counters", () => {
  const counters = {
    [proxyProtocolCounters.found[0]]: `0x${always}`,
    [proxyProtocolCounters.found[1]]: `0+15x${always}`,
    [proxyProtocolCounters.missing[0]]: `0+30x${always}`,
    [proxyProtocolCounters.missing[1]]: `0+15x${always}`,
  };
  const value = (expr: string, expected: number) => ({
    ...{ expr, eval_time: "20m" },
    exp_samples: [{ labels: "{}", value: expected }],
  });
  expect(
    promtool({
      interval: "15s",
      input_series: inputSeries({ ...base, ...counters }),
      promql_expr_test: [
        value("round(gateway:proxy_protocol_found:rate5m, 0.001)", 1),
        value("round(gateway:proxy_protocol_missing:rate5m, 0.001)", 3),
      ],
    }),
  ).toBe("");
});

test("GatewayConfigRejected fires when a proxy refuses an update, and not after istiod restarts", () => {
  const rejects = (values: string, pod = "i1") => ({
    [`pilot_total_xds_rejects{type="lds",pod="${pod}"}`]: values,
  });
  const series = { ...base, ...fleet(3) };
  expect(
    firing(
      { ...series, ...rejects("0x80 1x400") },
      { "19m": [], "21m": ["GatewayConfigRejected"], "40m": [] },
    ),
  ).toBe("");
  expect(
    firing({ ...series, ...rejects("3x80 stale"), ...rejects("_x82 0x390", "i2") }, { "21m": [], "30m": [] }),
  ).toBe("");
});

/** Where the errors of one VPS are looked at, and not what they do to its region's budget. */
const quietBudget = { limits: { silentSeconds: 300, errorRatio: 0.2, latencySeconds: 2, objective: 0.5 } };

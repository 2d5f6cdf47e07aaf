import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { stringify } from "yaml";
import { configSchema } from "../../../configSchema";
import { ruleGroups, type RuleSettings } from "../../../rules";
import { partPath } from "../../../sandbox/parts/find";

/** As a stack without any config of its own has it, in stage `enforce`. */
export const settings: RuleSettings = {
  runbookUrl: "https://runbooks.example",
  limits: configSchema.shape.rules.parse({}),
  addressesKnown: true,
  stage: "enforce",
};

/**
 * Names of series and their values, one every 15 s: four are a minute.
 * https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series
 */
export type SeriesValues = Readonly<Record<string, string>>;

/** Prometheus' own unit tests of the rules; their failures as text, empty when there are none. */
export function promtool(tests: object, changed: Partial<RuleSettings> = {}): string {
  const directory = mkdtempSync(path.join(tmpdir(), "vpsight-rules-"));
  try {
    const rules = path.join(directory, "rules.yaml");
    const file = path.join(directory, "tests.yaml");
    writeFileSync(rules, stringify({ groups: ruleGroups({ ...settings, ...changed }) }));
    writeFileSync(file, stringify({ rule_files: [rules], evaluation_interval: "15s", tests: [tests] }));
    const { status, stdout, stderr } = spawnSync(partPath("promtool"), ["test", "rules", file], {
      encoding: "utf8",
    });
    return status === 0 ? "" : `${stdout}${stderr}`;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * Which alerts fire at these times, by name, each with how many it has (default 1: `VpsSilent` or `VpsSilent x3`); any
 * other that fires is a failure.
 */
export function firing(
  series: SeriesValues,
  expected: Readonly<Record<string, readonly string[]>>,
  changed: Partial<RuleSettings> = {},
): string {
  return promtool(
    {
      interval: "15s",
      input_series: inputSeries(series),
      promql_expr_test: Object.entries(expected).map(([time, alerts]) => ({
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: time,
        exp_samples: alerts.map((each) => {
          const [name = "", count = "1"] = each.split(" x");
          return { labels: `{alertname="${name}"}`, value: Number(count) };
        }),
      })),
    },
    changed,
  );
}

/** Series in the form of promtool's tests. */
export const inputSeries = (series: SeriesValues) =>
  Object.entries(series).map(([name, values]) => ({ series: name, values }));

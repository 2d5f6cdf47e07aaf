import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { FleetRules, type FleetRulesArgs } from "../components/fleetRules";
import { configSchema } from "../configSchema";
import { ruleGroups } from "../rules";
import { only, record } from "./support/mocks";

const args: FleetRulesArgs = {
  objectName: "vpsight",
  namespace: "vpsight",
  labels: { release: "kube-prometheus-stack" },
  gateway: { namespace: "edge", service: "gateway", selector: { app: "edge-gateway" } },
  gatewayMonitor: true,
  scrapeInterval: "15s",
  runbookUrl: "https://runbooks.example",
  limits: configSchema.shape.rules.parse({}),
  addressesKnown: true,
  stage: "enforce",
};

const deploy = (changed: Partial<FleetRulesArgs> = {}) =>
  record(() => void new FleetRules("rules", { ...args, ...changed }, {}));

test("one PrometheusRule with every group, under the labels that Prometheus selects by", async () => {
  expect(only(await deploy(), "rules-rules").inputs).toMatchObject({
    kind: "PrometheusRule",
    metadata: { name: "vpsight-rules", namespace: "vpsight", labels: { release: "kube-prometheus-stack" } },
    spec: { groups: ruleGroups(args) },
  });
});

test("the gateway's pods are scraped for the few counters that the rules read, or left to others", async () => {
  expect(only(await deploy(), "rules-gateway").inputs).toMatchObject({
    kind: "PodMonitor",
    spec: {
      selector: { matchLabels: { app: "edge-gateway" } },
      namespaceSelector: { matchNames: ["edge"] },
      podMetricsEndpoints: [
        { port: "http-envoy-prom", path: "/stats/prometheus", metricRelabelings: [{ action: "keep" }] },
      ],
    },
  });
  expect((await deploy({ gatewayMonitor: false })).map(({ name }) => name)).toEqual(["rules-rules"]);
});

const alerts = ruleGroups(args).flatMap(({ rules = [] }) => rules.filter(({ alert }) => alert !== undefined));

test.each(alerts.map(({ alert = "", ...rule }) => [alert, rule] as const))(
  "%s has a severity, a summary without numbers, a description and a page in docs/runbooks",
  (name, { labels, annotations }) => {
    expect(labels?.["severity"]).toMatch(/^(critical|warning)$/);
    expect(annotations?.["summary"]).toMatch(/^\D+\.$/);
    expect(annotations?.["description"]).toMatch(/\.$/);
    expect(annotations?.["runbook_url"]).toBe(`https://runbooks.example/${name}.md`);
    expect(existsSync(path.join(__dirname, `../docs/runbooks/${name}.md`))).toBe(true);
  },
);

test("alerts about addresses wait until the gateway sees true ones", () => {
  const names = (addressesKnown: boolean) =>
    ruleGroups({ ...args, addressesKnown }).flatMap(({ rules = [] }) =>
      rules.flatMap(({ alert = [] }) => alert),
    );
  expect(names(true).filter((name) => !names(false).includes(name))).toEqual([
    "UnknownCallerWithValidToken",
    "UnknownCallersRising",
    "ProxyProtocolBroken",
  ]);
});

test("every page in docs/runbooks is about an alert, and the list there names each with its severity", () => {
  const folder = path.join(__dirname, "../docs/runbooks");
  const pages = readdirSync(folder).filter((file) => file !== "README.md");
  expect(pages.sort()).toEqual(alerts.map(({ alert }) => `${alert}.md`).sort());
  const list = readFileSync(path.join(folder, "README.md"), "utf8");
  for (const { alert = "", labels } of alerts)
    expect(list).toContain(`| [${alert}](${alert}.md) | ${labels?.["severity"]} |`);
});

import { readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { FleetDashboards } from "../components/fleetDashboards";
import { dashboardModels } from "../dashboards";
import { defaultSettings } from "../dashboards/defaults";
import { lint, panelsOf, type Model } from "./support/dashboards";
import { only, record } from "./support/mocks";

const models = dashboardModels(defaultSettings);
const names = Object.keys(models);
const generated = path.join(__dirname, "../dashboards/generated");

test("the files that people import are the dashboards that are deployed", () => {
  const files = readdirSync(generated).map((file) => [
    path.basename(file, ".json"),
    readFileSync(path.join(generated, file), "utf8"),
  ]);
  expect(Object.fromEntries(files)).toEqual(models);
});

describe.each(names)("dashboard %s", (name) => {
  const text = models[name] ?? "";
  const model = JSON.parse(text) as Model;

  test("has units, legends, descriptions, its data source by variable, no chosen labels, and a tidy grid", () => {
    expect(panelsOf(text).length).toBeGreaterThan(5);
    expect(lint(text)).toEqual([]);
  });

  test("has a stable uid, the variables of all, and links to the others", () => {
    expect(model).toMatchObject({ uid: `vpsight-${name}`, tags: ["vpsight"], refresh: "30s" });
    expect(model.templating.list.slice(0, 2).map((variable) => variable.name)).toEqual([
      "datasource",
      "region",
    ]);
    expect(model.links.map(({ type }) => type)).toContain("dashboards");
  });
});

test("the linter finds what it is there for", () => {
  const spoiled = (models["fleet"] ?? "")
    .replaceAll('region=~\\"$region\\"', 'region=\\"jp\\"')
    .replaceAll('"uid": "$datasource"', '"uid": "prometheus-1"')
    .replaceAll('"legendFormat": "{{region}}"', '"legendFormat": ""')
    .replaceAll('"y": 0', '"y": 5');
  const problems = lint(spoiled).join("\n");
  for (const problem of [
    'chooses region "jp" itself',
    "data source of its own",
    "without a legend",
    "lies on",
  ])
    expect(problems).toContain(problem);
});

test("the log link asks Loki for the addresses selected, in a form that Grafana can fill in", () => {
  const { links } = JSON.parse(models["vps"] ?? "") as Model;
  const url = links.find(({ url }) => url?.startsWith("/explore"))?.url ?? "";
  expect(url).toContain("${logs}");
  const filled = url.replaceAll("${logs}", "loki-1").replace("${address:pipe}", "203.0.113.7|2001:db8::7");
  const panes: unknown = JSON.parse(new URL(filled, "http://grafana").searchParams.get("panes") ?? "");
  expect(panes).toMatchObject({
    records: {
      datasource: "loki-1",
      queries: [{ expr: '{namespace="istio-system"} | json | client_address=~"203.0.113.7|2001:db8::7"' }],
      range: { from: "${__from}", to: "${__to}" },
    },
  });
});

test("a second stack's dashboards have uids, titles and links of their own", () => {
  const others = dashboardModels({ ...defaultSettings, prefix: "vpsight-hk" });
  for (const [name, text] of Object.entries(others)) {
    expect(JSON.parse(text)).toMatchObject({ uid: `vpsight-hk-${name}`, tags: ["vpsight-hk"] });
    expect(text).not.toMatch(/\/d\/vpsight-(?!hk-)/);
  }
});

test("a region is drawn where the stack says, and no other", () => {
  const regions = { eu: { latitude: 50.1, longitude: 8.7 } };
  const { fleet = "" } = dashboardModels({ ...defaultSettings, regions });
  const [map] = panelsOf(fleet).filter(({ type }) => type === "geomap");
  expect(map?.targets[0]?.expr).toContain('"latitude", "50.1", "region", "eu"');
  expect(map?.targets[0]?.expr).not.toContain('"jp"');
});

const args = {
  objectName: "vpsight",
  namespace: "monitoring",
  labels: { grafana_dashboard: "1" },
  folder: "VPSes",
  dashboards: models,
};

test("one ConfigMap a dashboard, labelled and put into its folder for Grafana's sidecar", async () => {
  const recorded = await record(() => void new FleetDashboards("dashboards", args, {}));
  expect(recorded).toHaveLength(names.length);
  expect(only(recorded, "dashboards-fleet").inputs).toMatchObject({
    metadata: {
      name: "vpsight-dashboard-fleet",
      namespace: "monitoring",
      labels: { grafana_dashboard: "1" },
      annotations: { grafana_folder: "VPSes" },
    },
    data: { "vpsight-dashboard-fleet.json": models["fleet"] },
  });
});

/** Their shape is checked by the compiler, against types made from the operator's definitions; no operator runs here. */
test("objects of the Grafana Operator instead of ConfigMaps", async () => {
  const operator = { instanceLabels: { dashboards: "grafana" } };
  const recorded = await record(() => void new FleetDashboards("dashboards", { ...args, operator }, {}));
  expect(recorded).toHaveLength(names.length + 1);
  const common = {
    allowCrossNamespaceImport: true,
    instanceSelector: { matchLabels: { dashboards: "grafana" } },
  };
  expect(only(recorded, "dashboards-folder").inputs).toMatchObject({
    apiVersion: "grafana.integreatly.org/v1beta1",
    kind: "GrafanaFolder",
    metadata: { name: "vpsight-folder", namespace: "monitoring" },
    spec: { ...common, title: "VPSes" },
  });
  for (const name of names) {
    expect(only(recorded, `dashboards-dashboard-${name}`).inputs).toMatchObject({
      apiVersion: "grafana.integreatly.org/v1beta1",
      kind: "GrafanaDashboard",
      metadata: { name: `vpsight-dashboard-${name}`, namespace: "monitoring" },
      spec: { ...common, folderRef: "vpsight-folder", json: models[name] },
    });
  }
});

import { readFileSync } from "node:fs";
import * as path from "node:path";
import { FleetDashboards } from "../components/fleetDashboards";
import { dashboardModels } from "../dashboards";
import { only, record } from "./support/mocks";

interface Panel {
  title: string;
  description?: string;
  datasource?: { uid: string };
  targets?: { expr: string; legendFormat?: string; format?: string }[];
}
interface Model {
  uid: string;
  panels: Panel[];
  templating: { list: { name: string }[] };
}

const models = dashboardModels();
const parsed = Object.entries(models).map(([name, text]) => [name, JSON.parse(text) as Model] as const);

test.each(parsed)("dashboard %s: the file that people import is the one that is deployed", (name) => {
  const file = path.join(__dirname, `../dashboards/generated/${name}.json`);
  expect(readFileSync(file, "utf8")).toBe(models[name]);
});

test.each(parsed)(
  "dashboard %s: stable uid, variables, and panels that explain themselves",
  (name, model) => {
    expect(model.uid).toBe(`vpsight-${name}`);
    expect(model.templating.list.map((variable) => variable.name)).toEqual(["datasource", "region", "vps"]);
    expect(model.panels.length).toBeGreaterThan(0);
    for (const panel of model.panels) {
      expect([panel.title, panel.description]).not.toContain(undefined);
      expect(panel.datasource?.uid).toBe("$datasource");
      for (const target of panel.targets ?? []) expect(target.legendFormat ?? target.format).toBeDefined();
    }
  },
);

test("one ConfigMap a dashboard, labelled for Grafana's sidecar", async () => {
  const args = {
    objectName: "vpsight",
    namespace: "monitoring",
    labels: { grafana_dashboard: "1" },
    dashboards: models,
  };
  const recorded = await record(() => void new FleetDashboards("dashboards", args, {}));
  expect(recorded).toHaveLength(Object.keys(models).length);
  expect(only(recorded, "dashboards-fleet").inputs).toMatchObject({
    metadata: {
      name: "vpsight-dashboard-fleet",
      namespace: "monitoring",
      labels: { grafana_dashboard: "1" },
    },
    data: { "vpsight-dashboard-fleet.json": models["fleet"] },
  });
});

import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Board } from "./board";
import { fleetDashboard } from "./fleet";
import { pipelineDashboard } from "./pipeline";
import type { DashboardSettings } from "./settings";
import { sloDashboard } from "./slo";
import { vpsDashboard } from "./vps";

export type { Coordinates, DashboardSettings } from "./settings";

/** Every dashboard's JSON model, by its name; with the defaults, the same text as the files in `generated/`. */
export function dashboardModels(settings: DashboardSettings): Record<string, string> {
  const dashboards: Record<Board, Dashboard> = {
    fleet: fleetDashboard(settings),
    vps: vpsDashboard(settings),
    pipeline: pipelineDashboard(settings),
    slo: sloDashboard(settings),
  };
  return Object.fromEntries(
    Object.entries(dashboards).map(([name, dashboard]) => [name, `${JSON.stringify(dashboard, null, 2)}\n`]),
  );
}

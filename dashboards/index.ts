import { fleetDashboard } from "./fleet";

/** Every dashboard's JSON model, by its name; the same text as the files in `generated/`. */
export function dashboardModels(): Record<string, string> {
  const dashboards = { fleet: fleetDashboard() };
  return Object.fromEntries(
    Object.entries(dashboards).map(([name, dashboard]) => [name, `${JSON.stringify(dashboard, null, 2)}\n`]),
  );
}

import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
} from "@grafana/grafana-foundation-sdk/dashboard";
import type { DashboardSettings } from "./settings";
import { datasourceVariable, regionVariable } from "./variables";

/** The dashboards, by the end of their uid; the order of the links between them. */
export const boards = {
  fleet: "Fleet",
  vps: "VPS",
  pipeline: "Pipeline",
  slo: "Error budget",
} as const;
export type Board = keyof typeof boards;

/** Stable, so that links and bookmarks outlive a new version. */
export const uidOf = ({ prefix }: DashboardSettings, board: Board) => `${prefix}-${board}`;

/** What every dashboard has: a uid, links to the others that keep time and selection, and the variables of all. */
export function board(settings: DashboardSettings, name: Board, description: string) {
  const { prefix } = settings;
  return new DashboardBuilder(`${prefix} / ${boards[name]}`)
    .uid(uidOf(settings, name))
    .description(description)
    .tags([prefix])
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder(prefix)
        .type(DashboardLinkType.Dashboards)
        .tags([prefix])
        .includeVars(true)
        .keepTime(true),
    )
    .withVariable(datasourceVariable())
    .withVariable(regionVariable());
}

/** Address of the VPS dashboard for the VPS that a table's row or a series names. */
export const vpsLink = (settings: DashboardSettings, vps: string) =>
  `/d/${uidOf(settings, "vps")}?var-vps=${vps}&\${datasource:queryparam}&\${__url_time_range}`;

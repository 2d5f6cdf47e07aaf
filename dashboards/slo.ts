import { RowBuilder, type Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { recorded } from "../rules/recorded";
import { thresholds } from "../rules/thresholds";
import { board } from "./board";
import { badFrom, stat, timeseries } from "./panels";
import type { DashboardSettings } from "./settings";
import { table } from "./tables";
import { selected } from "./variables";

const { region, fleet } = recorded;
const windows = [...new Set(thresholds.burn.flatMap(({ long, short }) => [short, long]))];
/** Share of failed requests over what the objective allows: 1 spends exactly the budget. */
const burnRate = (window: string) =>
  `max by (region) (${region.budgetRatio(window)}{${selected.region}}) / on () group_left () (1 - max(${fleet.objective}))`;

/** How fast each region spends its error budget, with the lines at which the alerts fire. */
export function sloDashboard(settings: DashboardSettings): Dashboard {
  const dashboard = board(settings, "slo", "The error budget of each region, and how fast it is spent.")
    .withPanel(
      stat(
        {
          title: "Objective",
          description: "Share of a region's requests that are to succeed: rules.objective.",
          unit: "percentunit",
        },
        `max(${fleet.objective})`,
      ).span(8),
    )
    .withPanel(
      stat(
        {
          title: "Worst burn rate, 1 hour",
          description: "Of all regions selected; 1 spends exactly the budget.",
          unit: "short",
        },
        `max(${burnRate("1h")})`,
        badFrom(thresholds.burn[0].factor),
      ).span(8),
    )
    .withPanel(
      stat(
        {
          title: "Worst burn rate, 1 day",
          description: "Of all regions selected; 1 spends exactly the budget.",
          unit: "short",
        },
        `max(${burnRate("1d")})`,
        badFrom(1),
      ).span(8),
    )
    .withPanel(
      table(
        {
          title: "Burn rates",
          description: "By how much each region spends more than the budget allows, over each window.",
        },
        ["region"],
        [
          ...windows.map((window) => ({ title: window, unit: "short", expression: burnRate(window) })),
          {
            title: "Succeeded, 1 day",
            unit: "percentunit",
            expression: `1 - max by (region) (${region.budgetRatio("1d")}{${selected.region}})`,
          },
        ],
      ).height(8),
    )
    .withRow(new RowBuilder("Alerts"));
  for (const { name, long, short, factor } of thresholds.burn) {
    dashboard.withPanel(
      timeseries(
        {
          title: name,
          description: `Fires while both lines of a region are above ${factor}.`,
          unit: "short",
        },
        [long, short].map((window) => ({ expression: burnRate(window), legend: `{{region}} ${window}` })),
        badFrom(factor),
      ),
    );
  }
  return dashboard
    .withPanel(
      timeseries(
        { title: "Failed requests", description: "Of VPSes in service, per second.", unit: "reqps" },
        [
          {
            expression: `max by (region) (${region.budgetErrors}{${selected.region}})`,
            legend: "{{region}}",
          },
        ],
      ),
    )
    .build();
}

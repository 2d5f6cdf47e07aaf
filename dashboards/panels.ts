import {
  LegendDisplayMode,
  LegendPlacement,
  TooltipDisplayMode,
} from "@grafana/grafana-foundation-sdk/common";
import { VizLegendOptionsBuilder, VizTooltipOptionsBuilder } from "@grafana/grafana-foundation-sdk/common";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatPanelBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TablePanelBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeseriesPanelBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import { datasource } from "./variables";

/** What every panel says of itself. */
export interface PanelText {
  title: string;
  /** What it shows, and what to make of it. */
  description: string;
  /** One of Grafana's unit ids, such as `reqps`. */
  unit: string;
}

/** One line per series over time, with a table legend that sorts. */
export function timeseries(text: PanelText, expression: string, legend: string) {
  return new TimeseriesPanelBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .min(0)
    .datasource(datasource)
    .span(12)
    .height(9)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Right)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .withTarget(new DataqueryBuilder().refId("A").expr(expression).legendFormat(legend));
}

/** One number, now. */
export function stat(text: PanelText, expression: string) {
  return new StatPanelBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(datasource)
    .span(6)
    .height(4)
    .withTarget(new DataqueryBuilder().refId("A").expr(expression).legendFormat(text.title).instant());
}

/** A column of a table: the name of its query and what heads it. */
export interface Column {
  refId: string;
  title: string;
  unit: string;
  expression: string;
}

/** One row per VPS, one column per query. */
export function vpsTable(text: Omit<PanelText, "unit">, columns: readonly Column[]) {
  const panel = new TablePanelBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(datasource)
    .span(24)
    .height(12)
    .withTransformation({ id: "merge", options: {} })
    .withTransformation({
      id: "organize",
      options: {
        excludeByName: { Time: true },
        indexByName: { vps: 0, region: 1 },
        renameByName: Object.fromEntries(columns.map(({ refId, title }) => [`Value #${refId}`, title])),
      },
    });
  for (const { refId, title, unit, expression } of columns) {
    panel
      .withTarget(
        new DataqueryBuilder().refId(refId).expr(expression).instant().format(PromQueryFormat.Table),
      )
      .overrideByName(title, [{ id: "unit", value: unit }]);
  }
  return panel;
}

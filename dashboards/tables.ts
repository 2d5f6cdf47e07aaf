import { TableCellDisplayMode, type TableCellOptions } from "@grafana/grafana-foundation-sdk/common";
import type { DynamicConfigValue } from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder } from "@grafana/grafana-foundation-sdk/table";
import type { PanelText } from "./panels";
import { refId } from "./panels";
import { datasource } from "./variables";

/** A column of a table: one query, and what heads it. */
export interface Column {
  title: string;
  unit: string;
  expression: string;
  /** How its cells look, beyond the unit. */
  properties?: DynamicConfigValue[];
  /** The values of the dashboard's time range as a small line, instead of the one now. */
  sparkline?: boolean;
}

const sparklineCell: TableCellOptions = { type: TableCellDisplayMode.Sparkline };

/** One row for each combination of the keys' values, one column for each key and query. */
export function table(text: Omit<PanelText, "unit">, keys: readonly string[], columns: readonly Column[]) {
  const panel = new PanelBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(datasource)
    .filterable(true)
    .span(24)
    .height(12);
  const named = columns.map((column, index) => ({ ...column, id: refId(index) }));
  for (const { id, title, unit, expression, properties = [], sparkline = false } of named) {
    const query = new DataqueryBuilder().refId(id).expr(expression);
    panel
      .withTarget(
        sparkline
          ? query.range().legendFormat(`{{${keys[0]}}}`)
          : query.instant().format(PromQueryFormat.Table),
      )
      .overrideByName(title, [
        { id: "unit", value: unit },
        ...(sparkline ? [{ id: "custom.cellOptions", value: sparklineCell }] : []),
        ...properties,
      ]);
  }
  const lines = named.filter(({ sparkline }) => sparkline);
  // The lines become cells first, so that they have a row's labels to be merged by.
  if (lines.length > 0)
    panel.withTransformation({
      id: "timeSeriesTable",
      options: Object.fromEntries(lines.map(({ id }) => [id, { stat: "lastNotNull" }])),
    });
  return panel.withTransformation({ id: "merge", options: {} }).withTransformation({
    id: "organize",
    options: {
      excludeByName: { Time: true },
      indexByName: Object.fromEntries(
        [...keys, ...named.map(fieldOf)].map((field, position) => [field, position]),
      ),
      renameByName: Object.fromEntries(named.map((column) => [fieldOf(column), column.title])),
    },
  });
}

/** What Grafana calls the field that a query gives. */
function fieldOf({ id, sparkline = false }: Column & { id: string }): string {
  return sparkline ? `Trend #${id}` : `Value #${id}`;
}

/** How often each row met each column: one query with two labels. */
export function matrix(text: PanelText, rows: string, columns: string, expression: string) {
  return new PanelBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .noValue("0")
    .datasource(datasource)
    .span(12)
    .height(8)
    .withTarget(new DataqueryBuilder().refId("A").expr(expression).instant().format(PromQueryFormat.Table))
    .withTransformation({
      id: "groupingToMatrix",
      options: { rowField: rows, columnField: columns, valueField: "Value", emptyValue: "zero" },
    });
}

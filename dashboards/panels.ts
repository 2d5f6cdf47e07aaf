import {
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  TooltipDisplayMode,
  BigValueColorMode,
  BigValueGraphMode,
} from "@grafana/grafana-foundation-sdk/common";
import {
  GraphThresholdsStyleConfigBuilder,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type Threshold,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatPanelBuilder } from "@grafana/grafana-foundation-sdk/stat";
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

/** A query of a panel with several; the legend names its series. */
export interface Series {
  expression: string;
  legend: string;
}

/** From which value on a panel changes its colour; the first one's value is null. */
export const thresholds = (steps: readonly Threshold[]) =>
  new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([...steps]);

/** Green, and from `value` on red. */
export const badFrom = (value: number): Threshold[] => [
  { value: null, color: "green" },
  { value, color: "red" },
];

/** Red, and from `value` on green. */
export const goodFrom = (value: number): Threshold[] => [
  { value: null, color: "red" },
  { value, color: "green" },
];

/** Lines over time, with a table legend that sorts. @param limits drawn as lines, if any. */
export function timeseries(text: PanelText, series: readonly Series[], limits?: readonly Threshold[]) {
  const panel = new TimeseriesPanelBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .min(0)
    .datasource(datasource)
    .span(12)
    .height(8)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Right)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi));
  series.forEach(({ expression, legend }, index) => {
    panel.withTarget(new DataqueryBuilder().refId(refId(index)).expr(expression).legendFormat(legend));
  });
  if (limits === undefined) return panel;
  return panel
    .thresholds(thresholds(limits))
    .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
}

/** One number, now, on the colour that its steps give it. */
export function stat(
  text: PanelText,
  expression: string,
  steps: readonly Threshold[] = [{ value: null, color: "text" }],
) {
  return new StatPanelBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(datasource)
    .span(4)
    .height(4)
    .graphMode(BigValueGraphMode.None)
    .colorMode(BigValueColorMode.Value)
    .thresholds(thresholds(steps))
    .withTarget(new DataqueryBuilder().refId("A").expr(expression).legendFormat(text.title).instant());
}

/** A to Z, as Grafana names a panel's queries. */
export const refId = (index: number) => String.fromCharCode("A".charCodeAt(0) + index);

import {
  FieldColorBuilder,
  FieldColorModeId,
  type DashboardLinkBuilder,
} from "@grafana/grafana-foundation-sdk/dashboard";
import {
  FrameGeometrySourceBuilder,
  FrameGeometrySourceMode,
  MapLayerOptionsBuilder,
  VisibilityMode,
} from "@grafana/grafana-foundation-sdk/common";
import { MapViewConfigBuilder, PanelBuilder as GeomapBuilder } from "@grafana/grafana-foundation-sdk/geomap";
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  PanelBuilder as HeatmapBuilder,
  YAxisConfigBuilder,
} from "@grafana/grafana-foundation-sdk/heatmap";
import {
  EdgeOptionsBuilder,
  PanelBuilder as NodeGraphBuilder,
} from "@grafana/grafana-foundation-sdk/nodegraph";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StateTimelineBuilder } from "@grafana/grafana-foundation-sdk/statetimeline";
import { stateMappings, stateThresholds } from "./health";
import { badFrom, thresholds, type PanelText } from "./panels";
import type { Coordinates } from "./settings";
import { datasource } from "./variables";

type Titled = Omit<PanelText, "unit">;

/** A bar per VPS that changes its colour with its state; the names of the colours are `health.ts`'. */
export function stateTimeline(text: Titled, expression: string, link: DashboardLinkBuilder) {
  return new StateTimelineBuilder()
    .title(text.title)
    .description(text.description)
    .unit("short")
    .datasource(datasource)
    .span(24)
    .height(12)
    .mappings(stateMappings)
    .thresholds(thresholds(stateThresholds))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .showValue(VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.85)
    .perPage(30)
    .dataLinks([link])
    .withTarget(new DataqueryBuilder().refId("A").expr(expression).legendFormat("{{vps}} ({{region}})"));
}

/** How the requests spread over the histogram's bounds; the query gives the increase by `le`. */
export function heatmap(text: PanelText, expression: string) {
  return new HeatmapBuilder()
    .title(text.title)
    .description(text.description)
    .unit("short")
    .datasource(datasource)
    .span(12)
    .height(8)
    .calculate(false)
    .color(
      new HeatmapColorOptionsBuilder()
        .mode(HeatmapColorMode.Scheme)
        .scheme("Oranges")
        .fill("dark-orange")
        .exponent(0.5)
        .steps(64)
        .reverse(false),
    )
    .yAxis(new YAxisConfigBuilder().unit(text.unit))
    .withTarget(
      new DataqueryBuilder()
        .refId("A")
        .expr(expression)
        .format(PromQueryFormat.Heatmap)
        .legendFormat("{{le}}"),
    );
}

/**
 * A point per region, red from one silent VPS on. A region's place reaches Grafana as labels, since a query is the
 * only source it has that needs nothing from elsewhere.
 * @param expression one series per region
 */
export function regionMap(
  text: PanelText,
  expression: string,
  regions: Readonly<Record<string, Coordinates>>,
) {
  const placed = Object.entries(regions).reduce(
    (inner, [region, { latitude, longitude }]) =>
      [["latitude", latitude] as const, ["longitude", longitude] as const].reduce(
        (query, [label, value]) => `label_replace(${query}, "${label}", "${value}", "region", "${region}")`,
        inner,
      ),
    expression,
  );
  const layer = new MapLayerOptionsBuilder()
    .type("markers")
    .name("Regions")
    .tooltip(true)
    .config({
      showLegend: false,
      style: {
        color: { field: "Value", fixed: "dark-green" },
        size: { fixed: 12, min: 8, max: 20 },
        opacity: 0.8,
        text: { mode: "field", field: "region", fixed: "" },
        textConfig: { fontSize: 12, offsetX: 0, offsetY: 18, textAlign: "center", textBaseline: "middle" },
      },
    })
    .location(
      new FrameGeometrySourceBuilder()
        .mode(FrameGeometrySourceMode.Coords)
        .latitude("latitude")
        .longitude("longitude"),
    );
  const number = (targetField: string) => ({ targetField, destinationType: "number" });
  return new GeomapBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(datasource)
    .span(12)
    .height(12)
    .thresholds(thresholds(badFrom(1)))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .view(new MapViewConfigBuilder().id("zero").lat(20).lon(0).zoom(1))
    .layers([layer])
    .withTarget(new DataqueryBuilder().refId("A").expr(placed).instant().format(PromQueryFormat.Table))
    .withTransformation({
      id: "convertFieldType",
      options: { conversions: [number("latitude"), number("longitude")] },
    });
}

/** The nodes' and edges' queries of a graph; see {@link nodeGraph} for their labels. */
export interface Graph {
  /** Labels id, title, subtitle; the value is a state of `health.ts`. */
  nodes: string;
  /** Labels id, source, target; the value is what flows. */
  edges: string;
}

/** https://grafana.com/docs/grafana/latest/visualizations/panels-visualizations/visualizations/node-graph/#data-api */
export function nodeGraph(text: PanelText, { nodes, edges }: Graph) {
  const query = (refId: string, expression: string) =>
    new DataqueryBuilder().refId(refId).expr(expression).instant().format(PromQueryFormat.Table);
  return new NodeGraphBuilder()
    .title(text.title)
    .description(text.description)
    .unit(text.unit)
    .datasource(datasource)
    .span(12)
    .height(12)
    .edges(new EdgeOptionsBuilder().mainStatUnit(text.unit))
    .withTarget(query("nodes", nodes))
    .withTarget(query("edges", edges))
    .withTransformation({
      id: "organize",
      options: {
        excludeByName: { Time: true },
        renameByName: { "Value #nodes": "color", "Value #edges": "mainstat" },
      },
    })
    .overrideByName("color", [
      { id: "unit", value: "short" },
      { id: "thresholds", value: { mode: "absolute", steps: stateThresholds } },
      { id: "color", value: { mode: "thresholds" } },
    ]);
}

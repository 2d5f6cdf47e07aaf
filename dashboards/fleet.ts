import { DashboardLinkBuilder, RowBuilder, type Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { recorded } from "../rules/recorded";
import { thresholds } from "../rules/thresholds";
import { board, vpsLink } from "./board";
import { stateMappings, stateQuery } from "./health";
import { badFrom, goodFrom, stat, timeseries } from "./panels";
import { nodeGraph, regionMap, stateTimeline, type Graph } from "./pictures";
import type { DashboardSettings } from "./settings";
import { table, type Column } from "./tables";
import { selected, vpsVariable } from "./variables";

const { vps, region, unknown } = recorded;
const { errors } = thresholds.windows;

/** Sums of recorded series, without their names: Grafana merges rows by what labels they have. */
const byVps = (series: string) => `max by (vps, region) (${series}{${selected.vps}})`;
const byRegion = (series: string) => `max by (region) (${series}{${selected.region}})`;
const numberOf = (series: string) => `count(${series}{${selected.vps}}) or vector(0)`;

/** The whole fleet on one page: who is silent, slow or failing, and since when. */
export function fleetDashboard(settings: DashboardSettings): Dashboard {
  const link = new DashboardLinkBuilder("This VPS").url(vpsLink(settings, "${__field.labels.vps}"));
  return board(settings, "fleet", "Every VPS of the inventory, as the ingress gateway sees it.")
    .withVariable(vpsVariable())
    .withRow(new RowBuilder("Now"))
    .withPanel(
      stat(
        { title: "In service", description: "VPSes that are neither paused nor retired.", unit: "short" },
        numberOf(vps.active),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Silent",
          description: "VPSes in service that have not asked for longer than rules.silentSeconds.",
          unit: "short",
        },
        numberOf(vps.silent),
        badFrom(1),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Failing",
          description: `VPSes with more errors than rules.errorRatio in ${errors}.`,
          unit: "short",
        },
        numberOf(vps.failing),
        badFrom(1),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Slow",
          description: `VPSes whose p95 of ${errors} is above rules.latencySeconds.`,
          unit: "short",
        },
        numberOf(vps.slow),
        badFrom(1),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Succeeded",
          description: `Share of the requests of the last ${errors} that got an answer below 400. 304 is a success.`,
          unit: "percentunit",
        },
        `1 - sum(${vps.errors}{${selected.vps}}) / sum(${vps.requestsLong}{${selected.vps}})`,
        goodFrom(0.99),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Unknown callers",
          description: "Requests to the server API from addresses outside the inventory.",
          unit: "reqps",
        },
        unknown.requests,
      ),
    )
    .withPanel(
      stateTimeline(
        {
          title: "State",
          description:
            "The worst that is true of each VPS. Red: silent. Orange: failing. Yellow: slow. Purple: never heard. Grey: paused or retired.",
        },
        stateQuery,
        link,
      ),
    )
    .withPanel(
      table(
        {
          title: "VPSes",
          description:
            "One row per VPS; a name leads to its own dashboard. Nothing under last heard: it never asked.",
        },
        ["vps", "region"],
        vpsColumns,
      ).overrideByName("vps", [
        {
          id: "links",
          value: [{ title: "${__value.text}", url: vpsLink(settings, "${__value.raw}"), targetBlank: false }],
        },
      ]),
    )
    .withRow(new RowBuilder("Regions"))
    .withPanel(
      table(
        { title: "Regions", description: "What the VPSes of each region add up to." },
        ["region"],
        regionColumns,
      ).height(8),
    )
    .withPanel(
      regionMap(
        {
          title: "Silent VPSes by region",
          description: "Red from one silent VPS on. dashboards.regions says where a region is drawn.",
          unit: "short",
        },
        byRegion(region.silent),
        settings.regions,
      ),
    )
    .withPanel(
      nodeGraph(
        {
          title: "Topology",
          description: "Who calls through the gateway: colours by state, lines by requests per second.",
          unit: "reqps",
        },
        graph,
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Requests",
          description: "An idle VPS asks twice a minute (0.033 per second).",
          unit: "reqps",
        },
        [{ expression: byRegion(region.requests), legend: "{{region}}" }],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Errors",
          description: "Share of answers with 4xx or 5xx, or without any (code 0). 304 is a success.",
          unit: "percentunit",
        },
        [{ expression: byRegion(region.errorRatio), legend: "{{region}}" }],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Latency, p95",
          description: "From a request's first byte to the answer's last.",
          unit: "s",
        },
        [{ expression: byRegion(region.duration("p95")), legend: "{{region}}" }],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Unknown callers",
          description: "Requests from addresses outside the inventory; the exporter's page lists them.",
          unit: "reqps",
        },
        [{ expression: unknown.requests, legend: "unknown" }],
      ),
    )
    .build();
}

const vpsColumns: Column[] = [
  {
    title: "State",
    unit: "short",
    expression: stateQuery,
    properties: [
      { id: "mappings", value: stateMappings },
      { id: "custom.cellOptions", value: { type: "color-background", mode: "basic" } },
    ],
  },
  { title: "Last heard", unit: "s", expression: byVps(vps.silence) },
  { title: "Requests", unit: "reqps", expression: byVps(vps.requests) },
  { title: "Trend", unit: "reqps", expression: byVps(vps.requests), sparkline: true },
  { title: "Errors", unit: "percentunit", expression: byVps(vps.errorRatio) },
  { title: "p50", unit: "s", expression: byVps(vps.duration("p50")) },
  { title: "p95", unit: "s", expression: byVps(vps.duration("p95")) },
  { title: "p99", unit: "s", expression: byVps(vps.duration("p99")) },
];

const regionColumns: Column[] = [
  { title: "In service", unit: "short", expression: byRegion(region.total) },
  { title: "Silent", unit: "short", expression: byRegion(region.silent) },
  { title: "Silent, slow or failing", unit: "short", expression: byRegion(region.bad) },
  { title: "Requests", unit: "reqps", expression: byRegion(region.requests) },
  { title: "Trend", unit: "reqps", expression: byRegion(region.requests), sparkline: true },
  { title: "Errors", unit: "percentunit", expression: byRegion(region.errorRatio) },
  { title: "p95", unit: "s", expression: byRegion(region.duration("p95")) },
];

/** Labels that are a copy of another one. */
const copy = (query: string, to: string, from: string) =>
  `label_replace(${query}, "${to}", "$1", "${from}", "(.*)")`;
/** Labels with the same value everywhere. */
const fixed = (query: string, to: string, value: string) =>
  `label_replace(${query}, "${to}", "${value}", "", "")`;

const node = (query: string, id: string) => fixed(fixed(query, "id", id), "title", id);
const graph: Graph = {
  nodes: [
    copy(copy(copy(`(${stateQuery})`, "id", "vps"), "title", "vps"), "subtitle", "region"),
    node("vector(0)", "gateway"),
    node("vector(0)", "application"),
  ].join("\nor "),
  edges: [
    fixed(copy(copy(byVps(vps.requests), "id", "vps"), "source", "vps"), "target", "gateway"),
    fixed(
      fixed(fixed(`sum(${vps.requests}{${selected.vps}})`, "id", "total"), "source", "gateway"),
      "target",
      "application",
    ),
  ].join("\nor "),
};

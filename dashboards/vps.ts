import { DashboardLinkBuilder, type Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { quantiles, recorded, type Quantile } from "../rules/recorded";
import { thresholds } from "../rules/thresholds";
import { board } from "./board";
import { stateMappings, stateQuery } from "./health";
import { badFrom, stat, timeseries } from "./panels";
import { heatmap } from "./pictures";
import type { DashboardSettings } from "./settings";
import { matrix } from "./tables";
import { addressVariable, endpointVariable, logsVariable, selected, vpsVariable } from "./variables";

const { vps } = recorded;
const { rate, errors } = thresholds.windows;
/** Grafana picks a window that fits the time shown and the scrape interval. */
const shown = "$__rate_interval";
const rateBy = (labels: string, metric: string) =>
  `sum by (${labels}) (rate(${metric}{${selected.endpoint}}[${shown}]))`;
const worst = (series: string) => `max(${series}{${selected.vps}})`;

/** One VPS (or several) in depth: what it asks, what it gets, and where its log lines are. */
export function vpsDashboard(settings: DashboardSettings): Dashboard {
  return board(settings, "vps", "One VPS or several in depth, as the ingress gateway sees them.")
    .withVariable(vpsVariable())
    .withVariable(endpointVariable())
    .withVariable(logsVariable())
    .withVariable(addressVariable())
    .link(
      new DashboardLinkBuilder("Log lines")
        .url(exploreUrl(settings.logQuery))
        .tooltip("The access records of the VPSes that are selected, in Loki")
        .targetBlank(true)
        .keepTime(true),
    )
    .withPanel(
      stat(
        { title: "State", description: "The worst state of the VPSes selected.", unit: "short" },
        `max(${stateQuery})`,
      ).mappings(stateMappings),
    )
    .withPanel(
      stat(
        {
          title: "Last heard",
          description: "Time since the last request; the longest of those selected.",
          unit: "s",
        },
        worst(vps.silence),
      ),
    )
    .withPanel(
      stat(
        { title: "Requests", description: `Over ${rate}, of all selected.`, unit: "reqps" },
        `sum(${vps.requests}{${selected.vps}})`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Errors",
          description: `Share of failed requests in ${errors}, of all selected.`,
          unit: "percentunit",
        },
        `sum(${vps.errors}{${selected.vps}}) / sum(${vps.requestsLong}{${selected.vps}})`,
      ),
    )
    .withPanel(
      stat(
        { title: "p95", description: `Over ${errors}; the slowest of those selected.`, unit: "s" },
        worst(vps.duration("p95")),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Foreign node ids",
          description: "Requests in the time shown that claimed a node id which is another VPS's.",
          unit: "short",
        },
        `sum(increase(vps_node_id_mismatch_total{${selected.vps}}[$__range]))`,
        badFrom(1),
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Requests by endpoint and code",
          description: "304 means that nothing has changed; 0 that the VPS went away before an answer.",
          unit: "reqps",
        },
        [{ expression: rateBy("endpoint, code", "vps_requests_total"), legend: "{{endpoint}} {{code}}" }],
      ),
    )
    .withPanel(
      matrix(
        { title: "Endpoint by code", description: "Requests in the time shown.", unit: "short" },
        "endpoint",
        "code",
        `sum by (endpoint, code) (increase(vps_requests_total{${selected.endpoint}}[$__range]))`,
      ),
    )
    .withPanel(
      heatmap(
        {
          title: "Latency",
          description:
            "How many requests fell between which bounds; from the first byte to the answer's last.",
          unit: "s",
        },
        `sum by (le) (increase(vps_request_duration_seconds_bucket{${selected.endpoint}}[${shown}]))`,
      ),
    )
    .withPanel(
      timeseries(
        { title: "Latency by quantile", description: `Over ${errors}, of every endpoint.`, unit: "s" },
        (Object.keys(quantiles) as Quantile[]).map((quantile) => ({
          expression: `max by (vps) (${vps.duration(quantile)}{${selected.vps}})`,
          legend: `{{vps}} ${quantile}`,
        })),
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Bytes",
          description: "Bodies only: what VPSes report (in) and what the panel answers (out).",
          unit: "Bps",
        },
        [
          { expression: rateBy("endpoint", "vps_request_bytes_total"), legend: "{{endpoint}} in" },
          { expression: rateBy("endpoint", "vps_response_bytes_total"), legend: "{{endpoint}} out" },
        ],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Foreign node ids",
          description:
            "A copied config, or a VPS that took over another's address. See the runbook of NodeIdMismatch.",
          unit: "reqps",
        },
        [
          {
            expression: `sum by (vps) (rate(vps_node_id_mismatch_total{${selected.vps}}[${shown}]))`,
            legend: "{{vps}}",
          },
        ],
      ),
    )
    .build();
}

/** Grafana's Explore with a LogQL query; variables are filled in when somebody follows the link. */
function exploreUrl(query: string): string {
  const pane = {
    datasource: "${logs}",
    queries: [{ refId: "A", expr: query, datasource: { type: "loki", uid: "${logs}" } }],
    range: { from: "${__from}", to: "${__to}" },
  };
  // Grafana does not see variables in a text whose braces and dollars are encoded.
  const panes = encodeURIComponent(JSON.stringify({ records: pane })).replaceAll(
    /%24%7B(\w+)(%3A(\w+))?%7D/g,
    (_, name: string, _format, format: string | undefined) =>
      `\${${name}${format === undefined ? "" : `:${format}`}}`,
  );
  return `/explore?schemaVersion=1&panes=${panes}`;
}

import { DashboardBuilder, type Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { stat, timeseries, vpsTable } from "./panels";
import { queries, windows } from "./queries";
import { datasourceVariable, regionVariable, vpsVariable } from "./variables";

/** The whole fleet on one page: who is silent, slow or failing. */
export function fleetDashboard(): Dashboard {
  return new DashboardBuilder("vpsight / Fleet")
    .uid("vpsight-fleet")
    .description("Every VPS of the inventory, as the ingress gateway sees it.")
    .tags(["vpsight"])
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .withVariable(datasourceVariable())
    .withVariable(regionVariable())
    .withVariable(vpsVariable())
    .withPanel(
      stat(
        {
          title: "VPSes heard",
          description: `VPSes that asked at least once in the last ${windows.rate}.`,
          unit: "short",
        },
        queries.heard,
      ),
    )
    .withPanel(
      stat(
        { title: "VPSes in the inventory", description: "VPSes that the exporter knows.", unit: "short" },
        queries.inventory,
      ),
    )
    .withPanel(
      stat(
        {
          title: "Unknown callers",
          description: "Requests to the server API from addresses outside the inventory.",
          unit: "reqps",
        },
        queries.unknownRate,
      ),
    )
    .withPanel(
      vpsTable(
        {
          title: "VPSes",
          description:
            "One row per VPS. No value under last heard: it never asked since the exporter started.",
        },
        [
          { refId: "A", title: "Requests", unit: "reqps", expression: queries.rateByVps },
          { refId: "B", title: "Errors", unit: "percentunit", expression: queries.errorRatioByVps },
          { refId: "C", title: "p50", unit: "s", expression: queries.latencyByVps(0.5) },
          { refId: "D", title: "p95", unit: "s", expression: queries.latencyByVps(0.95) },
          { refId: "E", title: "Last heard", unit: "s", expression: queries.silenceByVps },
        ],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Requests",
          description: "An idle VPS asks twice a minute (0.033 per second), a busy one three times.",
          unit: "reqps",
        },
        queries.rateByVps,
        "{{vps}}",
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Errors",
          description: "Share of answers with 4xx or 5xx, or without any (code 0). 304 is a success.",
          unit: "percentunit",
        },
        queries.errorRatioByVps,
        "{{vps}}",
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Latency, p95",
          description: "From the request's first byte to the answer's last.",
          unit: "s",
        },
        queries.latencyByVps(0.95),
        "{{vps}}",
      ),
    )
    .build();
}

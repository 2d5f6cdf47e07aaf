import { RowBuilder, type Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { BigValueTextMode } from "@grafana/grafana-foundation-sdk/common";
import { gatewayRecords, recorded as completeness } from "../rules/completeness";
import { recorded } from "../rules/recorded";
import { thresholds } from "../rules/thresholds";
import { board } from "./board";
import { badFrom, goodFrom, stat, timeseries } from "./panels";
import type { DashboardSettings } from "./settings";

const { gateway } = recorded;
const shown = "$__rate_interval";
const own = (metric: string) => `vpsight_exporter_${metric}`;
const rateBy = (label: string, metric: string) => `sum by (${label}) (rate(${own(metric)}[${shown}]))`;
const orNone = (expression: string) => `(${expression}) or vector(0)`;

/** Whether what the other dashboards show can be believed: from the load balancer's header to the exporter's counters. */
export function pipelineDashboard(settings: DashboardSettings): Dashboard {
  const dashboard = board(
    settings,
    "pipeline",
    "From the PROXY header to the counters: is everything there, and is it true?",
  );
  dashboard
    .withRow(new RowBuilder("Complete?"))
    .withPanel(
      stat(
        {
          title: "Completeness",
          description: `Counted over expected requests in ${thresholds.completeness.window}; see the runbook of TelemetryIncomplete.`,
          unit: "percentunit",
        },
        `max(${completeness.ratio})`,
        goodFrom(thresholds.completeness.leastRatio),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Given up",
          description: "Records that the gateway gave up in the time shown, after every try.",
          unit: "short",
        },
        `sum(increase(${gatewayRecords.dropped}[$__range]))`,
        badFrom(1),
      ),
    )
    .withPanel(
      stat(
        { title: "Exporters", description: "Exporter pods that Prometheus reads.", unit: "short" },
        orNone(`count(${own("build_info")})`),
        goodFrom(1),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Inventory",
          description: "VPSes in the inventory in force; the fewest of any exporter.",
          unit: "short",
        },
        `min(${own("inventory_entries")})`,
        goodFrom(1),
      ),
    )
    .withPanel(
      stat(
        {
          title: "Inventory's age",
          description: "Since its source was last read and right; the oldest of any exporter.",
          unit: "s",
        },
        `time() - min(${own("inventory_last_success_timestamp_seconds")} > 0)`,
      ),
    )
    .withPanel(
      stat(
        {
          title: "PROXY stage",
          description: "The stage that the stack has deployed; see docs/rollout.md.",
          unit: "none",
        },
        gateway.stage,
      ).textMode(BigValueTextMode.Name),
    )
    .withPanel(
      timeseries(
        {
          title: "Expected and counted",
          description: "Requests per window that the gateway reports, and that exporters counted.",
          unit: "short",
        },
        [
          { expression: `max(${completeness.expected})`, legend: "expected" },
          { expression: `max(${completeness.received})`, legend: "counted" },
        ],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "The gateway's log",
          description: "Records per second that an exporter took, and that were given up.",
          unit: "ops",
        },
        [
          { expression: `sum(rate(${gatewayRecords.written}[${shown}]))`, legend: "taken" },
          { expression: `sum(rate(${gatewayRecords.dropped}[${shown}]))`, legend: "given up" },
        ],
      ),
    )
    .withRow(new RowBuilder("PROXY protocol"))
    .withPanel(
      timeseries(
        {
          title: "Connections with and without a PROXY header",
          description:
            "Stages accept and send let both through, enforce refuses those without. Before `enforce`, `without` must be 0 but for health checks.",
          unit: "cps",
        },
        [
          { expression: `max(${gateway.found})`, legend: "with" },
          { expression: `max(${gateway.missing})`, legend: "without" },
        ],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Unknown callers by reason",
          description:
            "private_address from stage send on means that the header is missing; shared_address that a node id is not listed.",
          unit: "reqps",
        },
        [{ expression: rateBy("reason", "unknown_requests_total"), legend: "{{reason}}" }],
      ),
    )
    .withRow(new RowBuilder("Exporter"))
    .withPanel(
      timeseries({ title: "Records by result", description: "`rejected` are none of ours.", unit: "ops" }, [
        { expression: rateBy("result", "records_total"), legend: "{{result}}" },
      ]),
    )
    .withPanel(
      timeseries(
        {
          title: "Batches refused, by reason",
          description: "The gateway tries again but for `malformed`.",
          unit: "ops",
        },
        [
          { expression: rateBy("reason", "batch_rejected_total"), legend: "{{reason}}" },
          { expression: `sum(rate(${own("batches_duplicate_total")}[${shown}]))`, legend: "came again" },
        ],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Fields that could not be used",
          description: "docs/records.md says what becomes of each.",
          unit: "ops",
        },
        [{ expression: rateBy("field, fault", "field_faults_total"), legend: "{{field}} {{fault}}" }],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Inventory failures, by source",
          description: "Each different failure counts once.",
          unit: "short",
        },
        [
          {
            expression: `sum by (source) (increase(${own("inventory_load_errors_total")}[${shown}]))`,
            legend: "{{source}}",
          },
        ],
      ),
    )
    .withPanel(
      timeseries({ title: "CPU", description: "Cores, of each exporter.", unit: "short" }, [
        { expression: rateBy("pod", "process_cpu_seconds_total"), legend: "{{pod}}" },
      ]),
    )
    .withPanel(
      timeseries({ title: "Memory", description: "Resident, of each exporter.", unit: "bytes" }, [
        { expression: `max by (pod) (${own("process_resident_memory_bytes")})`, legend: "{{pod}}" },
      ]),
    )
    .withPanel(
      timeseries(
        { title: "Event loop, p99", description: "How long the exporter let other work wait.", unit: "s" },
        [{ expression: `max by (pod) (${own("nodejs_eventloop_lag_p99_seconds")})`, legend: "{{pod}}" }],
      ),
    )
    .withPanel(
      timeseries(
        {
          title: "Configuration refused by proxies",
          description: "As istiod counts it; 0 also when nobody scrapes istiod.",
          unit: "ops",
        },
        [{ expression: orNone(`sum(rate(pilot_total_xds_rejects[${shown}]))`), legend: "refused" }],
      ),
    );
  return dashboard.build();
}

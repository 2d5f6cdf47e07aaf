import { alert, recording, type RuleGroup, type RuleSettings } from "./rule";
import { thresholds } from "./thresholds";

/**
 * Envoy's counters of its OTLP logger: records that a receiver has taken, and records given up after the last try. Istio's
 * default stats matcher hides both. https://istio.io/latest/docs/ops/configuration/telemetry/envoy-stats/
 */
export const gatewayRecords = {
  written: "envoy_access_logs_open_telemetry_access_log_logs_written",
  dropped: "envoy_access_logs_open_telemetry_access_log_logs_dropped",
} as const;

const { window } = thresholds.completeness;

/** The recorded series; their names end in the window they look back. */
export const recorded = {
  received: `vpsight:records_received:increase${window}`,
  expected: `vpsight:records_expected:increase${window}`,
  ratio: `vpsight:completeness:ratio${window}`,
} as const;

const percent = (ratio: number) => `${Math.round(ratio * 100)} %`;

/** Whether everything that the gateway served is counted: no loss without an alert. */
export function completenessRules(settings: RuleSettings): RuleGroup {
  const { completeness, dropped, unmeasured } = thresholds;
  return {
    name: "vpsight-completeness",
    rules: [
      recording(
        recorded.received,
        `sum(increase(vpsight_exporter_records_total{result="counted"}[${window}]))`,
      ),
      recording(recorded.expected, expectedRecords(settings)),
      recording(
        recorded.ratio,
        `${recorded.received} / (${recorded.expected} > ${completeness.leastRecords})`,
      ),
      alert(settings, {
        name: "TelemetryIncomplete",
        expression: `${recorded.ratio} < ${completeness.leastRatio}`,
        for: completeness.for,
        severity: "warning",
        summary: "Requests of the fleet are missing from its metrics.",
        description:
          `Only {{ $value | humanizePercentage }} of the requests that the gateway reports for the last ${window} are counted; ` +
          `${percent(completeness.leastRatio)} or more are normal. Rates and error ratios per VPS are too low by as much.`,
      }),
      alert(settings, {
        name: "TelemetryDropped",
        expression: `sum(increase(${gatewayRecords.dropped}[${dropped.window}])) > 0`,
        severity: "warning",
        summary: "The gateway gave up access records.",
        description:
          `About {{ $value | humanize }} records were given up in the last ${dropped.window}, after every try to hand them to an ` +
          "exporter had failed. Those requests are in no metric.",
      }),
      alert(settings, {
        name: "TelemetryUnmeasured",
        expression: `absent(${gatewayRecords.dropped})`,
        for: unmeasured.for,
        severity: "warning",
        summary: "Prometheus does not see the gateway's log counters.",
        description:
          `${gatewayRecords.dropped} has been absent for ${unmeasured.for}: lost records would go unnoticed. Most often the gateway's ` +
          "proxyStatsMatcher does not include access_logs, or nothing scrapes its port 15090.",
      }),
    ],
  };
}

function expectedRecords({ expectedRequests }: RuleSettings): string {
  const increase = (selector: string) => `sum(increase(${selector}[${window}]))`;
  if (expectedRequests !== undefined) return increase(expectedRequests);
  return `${increase(gatewayRecords.written)} + ${increase(gatewayRecords.dropped)}`;
}

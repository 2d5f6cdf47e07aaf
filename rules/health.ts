import { recorded } from "./recorded";
import { alert, recording, type Rule, type RuleGroup, type RuleSettings } from "./rule";
import { thresholds } from "./thresholds";

const { vps, region, fleet } = recorded;
const { windows, leastRequests } = thresholds;
const each = "on (vps, region)";
/** Only those in service raise anything. */
const inService = `and ${each} ${vps.active}`;
const errorWindowSeconds = 15 * 60;
const enough = `and ${each} (${vps.requestsLong} * ${errorWindowSeconds} >= ${leastRequests})`;
/** While a whole region is in trouble, one alert says so, and those about its VPSes stay away. */
const unlessRegion = `unless on (region) ALERTS{alertname="RegionDegraded",alertstate="firing"}`;

/** Who is silent, failing or slow. One group: its rules are evaluated in order, each with what the one before recorded. */
export function healthRules(settings: RuleSettings): RuleGroup {
  return { name: "vpsight-health", rules: [...recordings(settings), ...alerts(settings)] };
}

function recordings({ limits }: RuleSettings): Rule[] {
  const bad = `${vps.silent} or ${vps.failing} or ${vps.slow}`;
  const none = `or ${region.total} * 0`;
  return [
    recording(vps.active, 'max by (vps, region) (vps_info{state="active"})'),
    // An exporter that starts knows no last request: what was recorded before stands in until it does.
    recording(
      vps.lastRequest,
      `max by (vps, region) ((vps_last_request_timestamp_seconds{vps!="unknown"} > 0) or last_over_time(${vps.lastRequest}[1h])) and ${each} vps_info`,
    ),
    recording(vps.silence, `time() - ${vps.lastRequest}`),
    recording(vps.silent, `(${vps.silence} > ${limits.silentSeconds}) ${inService}`),
    recording(vps.failing, `(${vps.errorRatio} > ${limits.errorRatio}) ${inService} ${enough}`),
    recording(vps.slow, `(${vps.duration("p95")} > ${limits.latencySeconds}) ${inService} ${enough}`),
    recording(region.total, `count by (region) (${vps.active})`),
    recording(region.silent, `count by (region) (${vps.silent}) ${none}`),
    recording(region.bad, `count by (region) (${bad}) ${none}`),
    recording(fleet.total, `sum(${region.total})`),
    recording(fleet.silent, `sum(${region.silent})`),
  ];
}

function alerts(settings: RuleSettings): Rule[] {
  const { limits } = settings;
  const { leastShare, leastVps, for: regionHolds } = thresholds.region;
  const who = "{{ $labels.vps }} ({{ $labels.region }})";
  return [
    alert(settings, {
      name: "RegionDegraded",
      expression: `${region.bad} >= ${leastVps} and ${region.bad} / ${region.total} >= ${leastShare}`,
      for: regionHolds,
      severity: "critical",
      summary: "Many VPSes of one region are silent, failing or slow at once.",
      description:
        "{{ $value }} VPSes in {{ $labels.region }} are silent, failing or slow. Alerts about single VPSes of this region are held " +
        "back while this one fires.",
    }),
    alert(settings, {
      name: "VpsSilent",
      expression: `${vps.silent} ${unlessRegion}`,
      for: thresholds.silent.for,
      severity: "warning",
      summary: "A VPS has fallen silent.",
      description: `${who} has not been heard for {{ $value | humanizeDuration }}; it should ask once a minute.`,
    }),
    alert(settings, {
      name: "VpsNeverSeen",
      expression: `${vps.active} unless ${each} ${vps.lastRequest} ${unlessRegion}`,
      for: thresholds.neverSeen.for,
      severity: "warning",
      summary: "A VPS of the inventory has never been heard.",
      description: `${who} has been in the inventory for more than ${thresholds.neverSeen.for} and has not asked once.`,
    }),
    alert(settings, {
      name: "VpsErrorRatioHigh",
      expression: `${vps.failing} ${unlessRegion}`,
      for: thresholds.errors.for,
      severity: "warning",
      summary: "A VPS gets errors.",
      description:
        `{{ $value | humanizePercentage }} of the requests of ${who} in the last ${windows.errors} failed (4xx, 5xx, or no answer); ` +
        `up to ${limits.errorRatio * 100} % are tolerated.`,
    }),
    alert(settings, {
      name: "VpsLatencyHigh",
      expression: `${vps.slow} ${unlessRegion}`,
      for: thresholds.latency.for,
      severity: "warning",
      summary: "A VPS waits long for its answers.",
      description: `One in twenty requests of ${who} in the last ${windows.errors} took {{ $value | humanizeDuration }} or longer; up to ${limits.latencySeconds} s are tolerated.`,
    }),
  ];
}

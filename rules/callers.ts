import { recorded } from "./recorded";
import { alert, recording, type RuleGroup, type RuleSettings } from "./rule";
import { thresholds } from "./thresholds";

const { unknown, gateway } = recorded;
const unknownRequests = 'vps_requests_total{vps="unknown"';
/**
 * Envoy's counters of connections with a PROXY header, by its version, and without one, let through or refused; as Istio's
 * bootstrap names them, which leaves out Envoy's own default tags.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/proxy_protocol#statistics
 */
export const proxyProtocolCounters = {
  found: ["envoy_proxy_proto_versions_v1_found", "envoy_proxy_proto_versions_v2_found"],
  missing: ["envoy_proxy_proto_not_found_allowed", "envoy_proxy_proto_not_found_disallowed"],
} as const;

/** Who calls from outside the inventory, and whether addresses can be believed. */
export function callerRules(settings: RuleSettings): RuleGroup {
  const { rate } = thresholds.windows;
  const increase = (selector: string, window: string) => `increase(${selector}[${window}])`;
  const rateOf = (counters: readonly string[]) =>
    counters.map((counter) => `sum(rate(${counter}[${rate}]))`).join(" + ");
  const recordings = [
    recording(gateway.found, rateOf(proxyProtocolCounters.found)),
    recording(gateway.missing, rateOf(proxyProtocolCounters.missing)),
    recording(gateway.stage, "vector(1)", { stage: settings.stage }),
    recording(
      gateway.privateCallers,
      `sum(rate(vpsight_exporter_unknown_requests_total{reason="private_address"}[${rate}]))`,
    ),
  ];
  const { window, growth, before, leastRate } = thresholds.unknown;
  const { mismatch, privateCallers } = thresholds;
  const mismatchAlert = alert(settings, {
    name: "NodeIdMismatch",
    expression:
      `sum by (vps, region) (${increase("vps_node_id_mismatch_total", mismatch.window)}) > 0 ` +
      `unless on (vps, region) vps_info{state!="active"}`,
    for: mismatch.for,
    severity: "warning",
    summary: "A VPS claims a node id that is not its own.",
    description:
      "{{ $labels.vps }} ({{ $labels.region }}) claimed other node ids than the inventory gives it, about {{ $value | humanize }} times in " +
      `${mismatch.window}.`,
  });
  // Before stage `send` every address is the load balancer's own: all of these would be noise.
  if (!settings.addressesKnown) return { name: "vpsight-callers", rules: [...recordings, mismatchAlert] };
  return {
    name: "vpsight-callers",
    rules: [
      ...recordings,
      mismatchAlert,
      alert(settings, {
        name: "UnknownCallerWithValidToken",
        expression: `sum by (endpoint) (${increase(`${unknownRequests},endpoint!="other",code=~"2..|304"}`, window)}) > 0`,
        severity: "critical",
        summary: "An address outside the inventory uses the panel's token.",
        description:
          `About {{ $value | humanize }} calls of {{ $labels.endpoint }} from addresses outside the inventory were answered in the last ${window}: ` +
          "a VPS that is not in the inventory, or the token in foreign hands. The exporter's /status lists the addresses.",
      }),
      alert(settings, {
        name: "UnknownCallersRising",
        expression:
          `${unknown.requests} > ${leastRate} and ` +
          `${unknown.requests} > ${growth} * avg_over_time(${unknown.requests}[${before}] offset ${window})`,
        for: thresholds.unknown.for,
        severity: "warning",
        summary: "Calls from outside the inventory are rising.",
        description: `{{ $value | humanize }} requests a second come from addresses outside the inventory, more than ${growth} times the average of the last ${before}.`,
      }),
      alert(settings, {
        name: "ProxyProtocolBroken",
        expression: `${gateway.privateCallers} / sum(rate(vpsight_exporter_records_total{result="counted"}[${privateCallers.window}])) > ${privateCallers.leastShare}`,
        for: privateCallers.for,
        severity: "critical",
        summary: "Callers come from private addresses: the PROXY header is missing.",
        description:
          "{{ $value | humanizePercentage }} of the requests come from private addresses, which no VPS has: the gateway takes the load " +
          "balancer for the client. Every VPS that comes this way looks silent.",
      }),
    ],
  };
}

/** Whether the gateway takes its configuration; istiod counts what proxies refuse. */
export function gatewayRules(settings: RuleSettings): RuleGroup {
  const { window } = thresholds.gatewayConfig;
  return {
    name: "vpsight-gateway",
    rules: [
      alert(settings, {
        name: "GatewayConfigRejected",
        expression: `sum by (type) (increase(pilot_total_xds_rejects[${window}])) > 0`,
        severity: "critical",
        summary: "A proxy refused its configuration.",
        description:
          `Proxies refused {{ $value | humanize }} {{ $labels.type }} updates in the last ${window}: they go on with what they have, and new ` +
          "pods get no listener at all.",
      }),
    ],
  };
}

import * as pulumi from "@pulumi/pulumi";
import type { IPodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ruleGroups, type RuleSettings } from "../rules";
import type { Gateway } from "./gateway";
import { monitoringObject } from "./monitoringObject";

export interface FleetRulesArgs extends RuleSettings {
  /** Prefix of the objects' names. */
  objectName: string;
  /** Namespace of the objects. */
  namespace: string;
  /** Labels that Prometheus selects rules and monitors by. */
  labels: Record<string, string>;
  gateway: Gateway;
  /** Have Prometheus read the gateway's log counters; false where something else scrapes its port 15090. */
  gatewayMonitor: boolean;
  /** Such as `15s`. */
  scrapeInterval: string;
}

/** Recording rules and alerts for the Prometheus Operator, and the gateway's counters that they read. */
export class FleetRules extends pulumi.ComponentResource {
  constructor(name: string, args: FleetRulesArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:prometheus:FleetRules", name, {}, options);
    this.createRules(name, args);
    if (args.gatewayMonitor) this.createGatewayMonitor(name, args);
    this.registerOutputs({});
  }

  private createRules(name: string, args: FleetRulesArgs) {
    const { objectName, namespace, labels } = args;
    const spec: IPrometheusRule["spec"] = { groups: ruleGroups(args) };
    monitoringObject(
      `${name}-rules`,
      { kind: "PrometheusRule", name: `${objectName}-rules`, namespace, labels, spec },
      { parent: this },
    );
  }

  private createGatewayMonitor(name: string, args: FleetRulesArgs) {
    const { objectName, namespace, labels } = args;
    const spec = gatewayMonitorSpec(args);
    monitoringObject(
      `${name}-gateway`,
      { kind: "PodMonitor", name: `${objectName}-gateway`, namespace, labels, spec },
      { parent: this },
    );
  }
}

/** The few counters that the rules read, and no other: an Envoy has thousands. */
const neededStats = "envoy_(access_logs|proxy_proto)_.+";

/** https://istio.io/latest/docs/ops/integrations/prometheus/#option-2-customized-scraping-configurations */
export function gatewayMonitorSpec({
  gateway,
  scrapeInterval,
}: Pick<FleetRulesArgs, "gateway" | "scrapeInterval">): NonNullable<IPodMonitor["spec"]> {
  return {
    selector: { matchLabels: gateway.selector },
    namespaceSelector: { matchNames: [gateway.namespace] },
    podMetricsEndpoints: [
      {
        // Istio's charts and its injection give the port this name.
        port: "http-envoy-prom",
        path: "/stats/prometheus",
        interval: scrapeInterval,
        metricRelabelings: [{ action: "keep", sourceLabels: ["__name__"], regex: neededStats }],
      },
    ],
  };
}

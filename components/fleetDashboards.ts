import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { managedLabels } from "./gateway";

export interface FleetDashboardsArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  /** The namespace that Grafana's sidecar watches. */
  namespace: string;
  /** The labels it looks for. */
  labels: Record<string, string>;
  /** Each dashboard's JSON model, by its name. */
  dashboards: Readonly<Record<string, string>>;
}

/** Grafana's dashboards, one ConfigMap each, for the sidecar that kube-prometheus-stack brings. */
export class FleetDashboards extends pulumi.ComponentResource {
  constructor(name: string, args: FleetDashboardsArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:grafana:FleetDashboards", name, {}, options);
    for (const [dashboard, model] of Object.entries(args.dashboards)) {
      this.createConfigMap(name, args, dashboard, model);
    }
    this.registerOutputs({});
  }

  private createConfigMap(name: string, args: FleetDashboardsArgs, dashboard: string, model: string) {
    const objectName = `${args.objectName}-dashboard-${dashboard}`;
    new k8s.core.v1.ConfigMap(
      `${name}-${dashboard}`,
      {
        metadata: {
          name: objectName,
          namespace: args.namespace,
          labels: { ...managedLabels, ...args.labels },
        },
        // The sidecar names the file it writes after the key, so it must be unique in the namespace.
        data: { [`${objectName}.json`]: model },
      },
      { parent: this },
    );
  }
}

import type { IGrafanaDashboard } from "@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1/GrafanaDashboard";
import type { IGrafanaFolder } from "@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1/GrafanaFolder";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { apiVersions } from "../versions";
import { managedLabels } from "./gateway";

export interface FleetDashboardsArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  /** The namespace that Grafana's sidecar, or the Grafana Operator, watches. */
  namespace: string;
  /** The labels the sidecar looks for. */
  labels: Record<string, string>;
  /** The name of the folder in Grafana. */
  folder: string;
  /** Objects of the Grafana Operator instead of ConfigMaps, for the Grafana objects that have these labels. */
  operator?: { instanceLabels: Record<string, string> } | undefined;
  /** Each dashboard's JSON model, by its name. */
  dashboards: Readonly<Record<string, string>>;
}

/** Grafana's dashboards: ConfigMaps for the sidecar that kube-prometheus-stack brings, or objects of the Grafana Operator. */
export class FleetDashboards extends pulumi.ComponentResource {
  constructor(name: string, args: FleetDashboardsArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:grafana:FleetDashboards", name, {}, options);
    if (args.operator === undefined) this.createConfigMaps(name, args);
    else this.createOperatorObjects(name, args, args.operator.instanceLabels);
    this.registerOutputs({});
  }

  private createConfigMaps(
    name: string,
    { objectName, namespace, labels, folder, dashboards }: FleetDashboardsArgs,
  ) {
    for (const [dashboard, model] of Object.entries(dashboards)) {
      const dashboardName = `${objectName}-dashboard-${dashboard}`;
      new k8s.core.v1.ConfigMap(
        `${name}-${dashboard}`,
        {
          metadata: {
            name: dashboardName,
            namespace,
            labels: { ...managedLabels, ...labels },
            annotations: { [folderAnnotation]: folder },
          },
          // The sidecar names the file it writes after the key, so it must be unique in the namespace.
          data: { [`${dashboardName}.json`]: model },
        },
        { parent: this },
      );
    }
  }

  private createOperatorObjects(
    name: string,
    { objectName, namespace, folder, dashboards }: FleetDashboardsArgs,
    instanceLabels: Record<string, string>,
  ) {
    // The Grafana is often in another namespace than its dashboards.
    const target = { instanceSelector: { matchLabels: instanceLabels }, allowCrossNamespaceImport: true };
    const object = (suffix: string, kind: string, spec: object, dependsOn: pulumi.Resource[]) =>
      new k8s.apiextensions.CustomResource(
        `${name}-${suffix}`,
        {
          apiVersion: apiVersions.grafana,
          kind,
          metadata: { name: `${objectName}-${suffix}`, namespace, labels: managedLabels },
          spec,
        },
        { parent: this, dependsOn },
      );
    const folderSpec: IGrafanaFolder["spec"] = { ...target, title: folder };
    const folderObject = object("folder", "GrafanaFolder", folderSpec, []);
    for (const [dashboard, model] of Object.entries(dashboards)) {
      const spec: IGrafanaDashboard["spec"] = { ...target, folderRef: `${objectName}-folder`, json: model };
      object(`dashboard-${dashboard}`, "GrafanaDashboard", spec, [folderObject]);
    }
  }
}

/** What the sidecar of kube-prometheus-stack's Grafana is told to read the folder from: docs/dashboards.md. */
const folderAnnotation = "grafana_folder";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ISidecar } from "@kubernetes-models/istio/networking.istio.io/v1beta1/Sidecar";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { apiVersions } from "../versions";
import { managedLabels } from "./gateway";
import { meshObjects, type MeshVps } from "./meshObjects";
import { meshObjectsHooks } from "./meshObjectsSync";
import { monitoringObject } from "./monitoringObject";
import type { ClusterAccess } from "./retirement";
import { metricsPort, metricsServiceLabels } from "./vpsExporterObjects";

export interface MeshTopologyArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  /** The empty namespace in which Kiali sees the VPSes. */
  namespace: string;
  /** Make that namespace, or use one that stands already. */
  createNamespace: boolean;
  /** Labels of that namespace: what the mesh's `discoverySelectors` ask for. */
  namespaceLabels: Record<string, string>;
  /** Where the exporter's Service is. */
  exporterNamespace: string;
  monitoring: {
    discovery: "serviceMonitor" | "annotations";
    labels: Record<string, string>;
    /** Such as `15s`. */
    scrapeInterval: string;
  };
  /** Name of a region's box without the region. */
  regionPrefix: string;
  /** The VPSes that get a WorkloadGroup and a WorkloadEntry; empty: none. */
  workloads: MeshVps[];
  /** The kubeconfig of the provider that serves the other components. */
  cluster: ClusterAccess;
}

/**
 * What Kiali needs to draw each VPS: a namespace that exists and is empty (nodes in a missing one count as
 * inaccessible), and the scrape of the exporter's `/metrics/mesh`. With `workloads` also an object per VPS, so that a
 * silent one stays in the graph and has a page; they are applied by hooks, without a Pulumi resource each.
 * See docs/kiali.md and docs/decisions/mesh-objects.md.
 */
export class MeshTopology extends pulumi.ComponentResource {
  constructor(name: string, args: MeshTopologyArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:mesh:MeshTopology", name, {}, options);
    const namespace = this.createNamespace(name, args);
    this.createMonitor(name, args);
    const sidecar = this.createSidecar(name, args, namespace);
    this.createWorkloads(name, args, [...namespace, ...sidecar]);
    this.registerOutputs({});
  }

  private createNamespace(name: string, args: MeshTopologyArgs): pulumi.Resource[] {
    if (!args.createNamespace) return [];
    const labels = { ...managedLabels, ...args.namespaceLabels, "istio-injection": "disabled" };
    const metadata = { name: args.namespace, labels };
    return [new k8s.core.v1.Namespace(`${name}-namespace`, { metadata }, { parent: this })];
  }

  private createMonitor(name: string, args: MeshTopologyArgs) {
    if (args.monitoring.discovery !== "serviceMonitor") return;
    monitoringObject(
      `${name}-monitor`,
      {
        kind: "ServiceMonitor",
        name: `${args.objectName}-mesh`,
        namespace: args.exporterNamespace,
        labels: args.monitoring.labels,
        spec: meshMonitorSpec(args),
      },
      { parent: this },
    );
  }

  /** Without one, Kiali takes a WorkloadGroup for a workload outside the mesh and marks it. */
  private createSidecar(
    name: string,
    args: MeshTopologyArgs,
    dependsOn: pulumi.Resource[],
  ): pulumi.Resource[] {
    if (args.workloads.length === 0) return [];
    const spec: NonNullable<ISidecar["spec"]> = { egress: [{ hosts: ["./*"] }] };
    return [
      new k8s.apiextensions.CustomResource(
        `${name}-sidecar`,
        {
          apiVersion: apiVersions.sidecar,
          kind: "Sidecar",
          metadata: { name: `${args.objectName}-mesh`, namespace: args.namespace, labels: managedLabels },
          spec,
        },
        { parent: this, dependsOn },
      ),
    ];
  }

  /** Always there, so that an emptied list is a change like any other, and takes the objects away. */
  private createWorkloads(name: string, args: MeshTopologyArgs, dependsOn: pulumi.Resource[]) {
    const objects = meshObjects(args, args.workloads);
    const hooks = meshObjectsHooks(`${name}-workloads`, this, {
      cluster: args.cluster,
      namespace: args.namespace,
      objects,
    });
    const input = objects.map(({ kind, metadata, spec }) => ({ kind, name: metadata.name, spec }));
    new pulumi.Stash(`${name}-workloads`, { input }, { parent: this, dependsOn, hooks });
  }
}

/** The exporter's second scrape path. Prometheus asks for gzip by itself, which makes about a fiftieth of the body. */
export function meshMonitorSpec(
  args: Pick<MeshTopologyArgs, "objectName" | "monitoring">,
): NonNullable<IServiceMonitor["spec"]> {
  return {
    selector: { matchLabels: metricsServiceLabels(args) },
    endpoints: [
      {
        port: metricsPort,
        path: "/metrics/mesh",
        interval: args.monitoring.scrapeInterval,
        // Kiali reads the series' own labels: none may be pushed aside by the target's.
        honorLabels: true,
      },
    ],
  };
}

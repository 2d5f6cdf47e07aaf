import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { MeshSettings } from "../exporter/measure/meshSettings";
import { apiVersions } from "../versions";
import * as accessObjects from "./exporterAccess";
import type { ExporterAccess } from "./exporterAccess";
import type { Gateway } from "./gateway";
import type { InventoryEndpoint } from "./inventoryEndpoint";
import * as endpoint from "./inventoryEndpoint";
import { monitoringObject } from "./monitoringObject";
import * as objects from "./vpsExporterObjects";

export interface VpsExporterArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  /** Namespace of every object of this component. */
  namespace: string;
  /** Make the namespace, or use one that stands already. */
  createNamespace: boolean;
  /** Only its pods may reach the OTLP port. */
  gateway: Gateway;
  /** What makes sure of that beside the NetworkPolicy. */
  access: ExporterAccess;
  /**
   * The inventory file's text. A change of it is one update of one ConfigMap, whatever the size of the fleet.
   * Default: there is no file, and `inventoryEndpoint` is all.
   */
  inventory?: string | undefined;
  /** The management plane's inventory. Default: none is asked for, and nothing goes out of the pods. */
  inventoryEndpoint?: InventoryEndpoint | undefined;
  /** The service's bundle (`exporter/build.ts`); not used with an own image. */
  bundle: string;
  replicas: number;
  /** An own image with the service in it, instead of bundle and `nodeImage`. */
  image?: string | undefined;
  /** The stock Node image that runs the bundle. */
  nodeImage: string;
  /** Seconds that a pod which was told to end stays scrapable. */
  drainSeconds: number;
  /** Whether `/status` names the most frequent unknown addresses. */
  statusAddresses: boolean;
  /** Serve the series that Kiali draws, and how. Default: not. */
  mesh?: MeshSettings | undefined;
  resources: { cpuRequest: string; memoryRequest: string; memoryLimit: string };
  monitoring: {
    discovery: "serviceMonitor" | "annotations";
    /** Labels of the ServiceMonitor. */
    labels: Record<string, string>;
    /** Such as `15s`. */
    scrapeInterval: string;
    /** Only pods of this namespace with these labels may reach the metrics port; no labels: any of its pods. */
    prometheusNamespace: string;
    prometheusSelector: Record<string, string>;
  };
}

/**
 * The service that turns the gateway's access records into metrics, and all that belongs to running it:
 * Deployment, Service, ConfigMaps, disruption budget, who may reach it, and how Prometheus finds it.
 */
export class VpsExporter extends pulumi.ComponentResource {
  /** Where the gateway sends its records; known before anything is deployed. */
  readonly receiver: { host: string; port: number };

  constructor(name: string, args: VpsExporterArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:exporter:VpsExporter", name, {}, options);
    const namespace = this.createNamespace(name, args);
    const within = { parent: this, dependsOn: namespace };
    const inventory = [
      ...this.createInventory(name, args, within),
      ...this.createInventoryEndpoint(name, args, within),
    ];
    const bundle = this.createBundle(name, args, within);
    const service = this.createService(name, args, within);
    const policies = this.createPolicies(name, args, within);
    this.receiver = { host: objects.serviceHost(args), port: objects.ports.otlp };
    const gatewayTls = this.createGatewayTls(name, args, within);
    this.createDeployment(name, args, [...inventory, ...bundle, ...service, ...policies, ...gatewayTls]);
    this.createMonitor(name, args, within);
    this.registerOutputs({ receiver: this.receiver });
  }

  private createNamespace(name: string, args: VpsExporterArgs) {
    if (!args.createNamespace) return [];
    return [
      new k8s.core.v1.Namespace(
        `${name}-namespace`,
        { metadata: objects.namespaceMetadata(args) },
        { parent: this },
      ),
    ];
  }

  private createInventory(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    if (args.inventory === undefined) return [];
    return [
      new k8s.core.v1.ConfigMap(
        `${name}-inventory`,
        objects.inventoryConfigMap(args, args.inventory),
        options,
      ),
    ];
  }

  private createInventoryEndpoint(
    name: string,
    args: VpsExporterArgs,
    options: pulumi.CustomResourceOptions,
  ) {
    const { token, authorities } = args.inventoryEndpoint ?? {};
    const secret =
      token === undefined
        ? []
        : [
            new k8s.core.v1.Secret(
              `${name}-inventory-token`,
              endpoint.tokenSecret(objects.metadata(args), token),
              options,
            ),
          ];
    const configMap =
      authorities === undefined
        ? []
        : [
            new k8s.core.v1.ConfigMap(
              `${name}-inventory-ca`,
              endpoint.authoritiesConfigMap(objects.metadata(args), authorities),
              options,
            ),
          ];
    return [...secret, ...configMap];
  }

  private createBundle(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    if (args.image !== undefined) return [];
    return [new k8s.core.v1.ConfigMap(`${name}-bundle`, objects.bundleConfigMap(args), options)];
  }

  private createService(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    return [
      new k8s.core.v1.Service(`${name}-service`, objects.service(args), options),
      new k8s.core.v1.Service(`${name}-metrics`, objects.metricsService(args), options),
    ];
  }

  private createPolicies(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    return [
      new k8s.policy.v1.PodDisruptionBudget(`${name}-disruption`, objects.disruptionBudget(args), options),
      new k8s.networking.v1.NetworkPolicy(`${name}-network`, objects.networkPolicy(args), options),
      ...this.createMeshPolicies(name, args, options),
    ];
  }

  private createMeshPolicies(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    const { access, gateway } = args;
    if (access.mode !== "mesh") return [];
    const podSelector = objects.selectorLabels(args);
    const policy = (suffix: string, kind: string, apiVersion: string, spec: object) =>
      new k8s.apiextensions.CustomResource(
        `${name}-${suffix}`,
        { apiVersion, kind, metadata: objects.metadata(args), spec },
        options,
      );
    return [
      policy(
        "mutual-tls",
        "PeerAuthentication",
        apiVersions.peerAuthentication,
        accessObjects.peerAuthenticationSpec(podSelector),
      ),
      policy(
        "authorization",
        "AuthorizationPolicy",
        apiVersions.authorizationPolicy,
        accessObjects.authorizationPolicySpec(access, { gateway, podSelector, port: objects.ports.otlp }),
      ),
    ];
  }

  /**
   * Made before the Deployment changes, and gone after it: TLS to a pod that speaks plain text is a failed connection,
   * whose batch the gateway tries again; plain text to a pod that speaks TLS is a broken call, and its batch is lost.
   */
  private createGatewayTls(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    const { access, gateway } = args;
    if (access.mode !== "tls") return [];
    return [
      new k8s.apiextensions.CustomResource(
        `${name}-gateway-tls`,
        {
          apiVersion: apiVersions.destinationRule,
          kind: "DestinationRule",
          metadata: { ...objects.metadata(args), namespace: gateway.namespace },
          spec: accessObjects.destinationRuleSpec(access, { gateway, receiver: this.receiver }),
        },
        options,
      ),
    ];
  }

  private createDeployment(name: string, args: VpsExporterArgs, dependsOn: pulumi.Resource[]) {
    new k8s.apps.v1.Deployment(`${name}-deployment`, objects.deployment(args), { parent: this, dependsOn });
  }

  private createMonitor(name: string, args: VpsExporterArgs, options: pulumi.CustomResourceOptions) {
    if (args.monitoring.discovery !== "serviceMonitor") return;
    monitoringObject(
      `${name}-monitor`,
      {
        kind: "ServiceMonitor",
        ...objects.metadata(args),
        labels: { ...objects.selectorLabels(args), ...args.monitoring.labels },
        spec: objects.serviceMonitorSpec(args),
      },
      options,
    );
  }
}

import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { IEnvoyFilter } from "@kubernetes-models/istio/networking.istio.io/v1alpha3/EnvoyFilter";
import { apiVersions } from "../versions";

/** The ingress gateway that a component works on. */
export interface Gateway {
  /** Namespace of its pods and of its Service. */
  namespace: string;
  /** Name of the Service that the NLB belongs to. */
  service: string;
  /** Labels that its pods, and only they, carry. */
  selector: Record<string, string>;
}

/** One change to the configuration that istiod sends the gateway. */
export type ConfigPatch = NonNullable<NonNullable<IEnvoyFilter["spec"]>["configPatches"]>[number];

/** The HTTP connection manager of every listener of the gateway. */
export const everyConnectionManager = {
  context: "GATEWAY",
  listener: { filterChain: { filter: { name: "envoy.filters.network.http_connection_manager" } } },
} as const satisfies ConfigPatch["match"];

/**
 * An EnvoyFilter on the gateway's pods. It lives in the gateway's namespace: one in Istio's root namespace
 * without a selector would reach every proxy of the mesh.
 */
export function gatewayFilter(
  resourceName: string,
  args: { objectName: string; gateway: Gateway; configPatches: ConfigPatch[] },
  options: pulumi.CustomResourceOptions,
): k8s.apiextensions.CustomResource {
  const spec: NonNullable<IEnvoyFilter["spec"]> = {
    workloadSelector: { labels: args.gateway.selector },
    configPatches: args.configPatches,
  };
  return new k8s.apiextensions.CustomResource(
    resourceName,
    {
      apiVersion: apiVersions.envoyFilter,
      kind: "EnvoyFilter",
      metadata: { name: args.objectName, namespace: args.gateway.namespace, labels: managedLabels },
      spec,
    },
    options,
  );
}

/** On every object this program makes. https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ */
export const managedLabels = {
  "app.kubernetes.io/part-of": "vpsight",
  "app.kubernetes.io/managed-by": "pulumi",
};

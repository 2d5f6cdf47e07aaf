import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Stage } from "../configSchema";
import { gatewayFilter, type ConfigPatch, type Gateway } from "./gateway";

export interface ProxyProtocolArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  gateway: Gateway;
  /** How far the cut-over has gone. */
  stage: Stage;
  /** Who owns the NLB: `controller`, the AWS Load Balancer Controller, told by an annotation on the Service. */
  loadBalancer: "controller";
}

/** What the AWS Load Balancer Controller reads; `*` is its only valid value. */
export const proxyProtocolAnnotation = {
  "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol": "*",
} as const;

/** What each stage asks of the two sides: the gateway's listeners, and the load balancer. */
export const stageSettings = {
  off: { gateway: "ignores", loadBalancerSends: false },
  accept: { gateway: "allows", loadBalancerSends: false },
  send: { gateway: "allows", loadBalancerSends: true },
  enforce: { gateway: "requires", loadBalancerSends: true },
} as const satisfies Record<
  Stage,
  { gateway: "ignores" | "allows" | "requires"; loadBalancerSends: boolean }
>;

/**
 * Both halves of the PROXY-protocol cut-over: the gateway's listener filter and the NLB's setting, by stage.
 * `accept` lets the gateway take connections with and without the header, `send` makes the NLB add it,
 * `enforce` makes the gateway refuse connections without it. Going up the gateway changes before the NLB, and
 * going down after it, so no connection meets a side that is not ready.
 */
export class ProxyProtocol extends pulumi.ComponentResource {
  constructor(name: string, args: ProxyProtocolArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:gateway:ProxyProtocol", name, {}, options);
    const filter = this.createListenerFilter(name, args);
    this.createLoadBalancerSetting(name, args, filter);
    this.registerOutputs({ stage: args.stage });
  }

  private createListenerFilter(name: string, { objectName, gateway, stage }: ProxyProtocolArgs) {
    const configPatches = listenerPatches(stage);
    if (configPatches.length === 0) return [];
    return [
      gatewayFilter(
        `${name}-listener`,
        { objectName: `${objectName}-proxy-protocol`, gateway, configPatches },
        { parent: this },
      ),
    ];
  }

  private createLoadBalancerSetting(
    name: string,
    { gateway, stage }: ProxyProtocolArgs,
    filter: pulumi.Resource[],
  ) {
    if (!stageSettings[stage].loadBalancerSends) return;
    new k8s.core.v1.ServicePatch(
      `${name}-load-balancer`,
      {
        metadata: {
          name: gateway.service,
          namespace: gateway.namespace,
          annotations: {
            ...proxyProtocolAnnotation,
            "pulumi.com/patchFieldManager": "vpsight-proxy-protocol",
            // Nothing to wait for: the Service stands already, and its endpoints are not ours.
            "pulumi.com/skipAwait": "true",
          },
        },
      },
      { parent: this, dependsOn: filter },
    );
  }
}

/** The gateway's half: the PROXY filter in front of every other listener filter, or nothing in stage `off`. */
export function listenerPatches(stage: Stage): ConfigPatch[] {
  const { gateway } = stageSettings[stage];
  if (gateway === "ignores") return [];
  return [
    {
      applyTo: "LISTENER_FILTER",
      match: { context: "GATEWAY" },
      patch: {
        // Before tls_inspector: the header stands before the TLS handshake on the wire.
        operation: "INSERT_FIRST",
        value: {
          name: "envoy.filters.listener.proxy_protocol",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
            allow_requests_without_proxy_protocol: gateway === "allows",
          },
        },
      },
    },
  ];
}

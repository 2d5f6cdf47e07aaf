import * as pulumi from "@pulumi/pulumi";
import { everyConnectionManager, gatewayFilter, type ConfigPatch, type Gateway } from "./gateway";

export interface ClientAddressArgs {
  /** Prefix of the objects' names. */
  objectName: string;
  gateway: Gateway;
  /** Proxies in front of the gateway that append to X-Forwarded-For, 0 to 10; behind an NLB 0. */
  trustedHops: number;
  /** What becomes of the X-Forwarded-For that a client sent, when no hop is trusted. */
  clientForwardedFor: "remove" | "keep";
}

/**
 * Which address the gateway, and the application behind it, take for the client's. With 0 trusted hops it is
 * the PROXY header's, and the X-Forwarded-For that the client itself sent is dropped, so that the application
 * sees exactly one address and cannot be lied to. With more hops the entry that many from the right counts.
 */
export class ClientAddress extends pulumi.ComponentResource {
  constructor(name: string, args: ClientAddressArgs, options: pulumi.ComponentResourceOptions) {
    super("vpsight:gateway:ClientAddress", name, {}, options);
    const configPatches = clientAddressPatches(args);
    if (configPatches.length > 0) {
      const objectName = `${args.objectName}-client-address`;
      gatewayFilter(`${name}-filter`, { objectName, gateway: args.gateway, configPatches }, { parent: this });
    }
    this.registerOutputs({});
  }
}

/** The change to the gateway's connection managers; none when clients are trusted as Istio's default has it. */
export function clientAddressPatches(
  args: Pick<ClientAddressArgs, "trustedHops" | "clientForwardedFor">,
): ConfigPatch[] {
  const settings = connectionManagerSettings(args);
  if (settings === undefined) return [];
  const value = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      ...settings,
    },
  };
  return [{ applyTo: "NETWORK_FILTER", match: everyConnectionManager, patch: { operation: "MERGE", value } }];
}

function connectionManagerSettings({
  trustedHops,
  clientForwardedFor,
}: Pick<ClientAddressArgs, "trustedHops" | "clientForwardedFor">): Record<string, unknown> | undefined {
  if (trustedHops > 0) return { xff_num_trusted_hops: trustedHops };
  if (clientForwardedFor === "keep") return undefined;
  return {
    // Early: before Envoy appends the true address, so that its own entry is the only one left.
    // https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#early-header-mutations
    early_header_mutation_extensions: [
      {
        name: "envoy.http.early_header_mutation.header_mutation",
        typed_config: {
          "@type":
            "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
          mutations: [{ remove: "x-forwarded-for" }],
        },
      },
    ],
  };
}

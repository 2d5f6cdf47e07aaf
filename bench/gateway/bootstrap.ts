import type { AccessLogger } from "./variants";

/** A listener of the measured Envoy: a port and what is logged there. */
export interface GatewayListener {
  port: number;
  loggers: readonly AccessLogger[];
}

/** An entry of Envoy's `routes`. */
export type Route = Readonly<Record<string, unknown>>;

export interface GatewayPorts {
  admin: number;
  upstream: number;
  /** Where OTLP goes: names of clusters and their ports. */
  sinks: Readonly<Record<string, number>>;
}

/**
 * Envoy as Istio's gateway is set up where that matters for cost: the client's address from a PROXY header if there is
 * one, `x-forwarded-for` and `x-request-id` added, one upstream. One listener per variant in one process, so that all
 * share its memory, its caches and its moment.
 */
export function gatewayBootstrap(
  listeners: readonly GatewayListener[],
  { admin, upstream, sinks }: GatewayPorts,
  routes: readonly Route[] = [{ match: { prefix: "/" }, route: { cluster: "upstream" } }],
) {
  return {
    admin: { address: loopback(admin) },
    static_resources: {
      listeners: listeners.map(({ port, loggers }) => ({
        name: `listener-${port}`,
        address: loopback(port),
        listener_filters: [
          {
            name: "envoy.filters.listener.proxy_protocol",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
              allow_requests_without_proxy_protocol: true,
            },
          },
        ],
        filter_chains: [{ filters: [connectionManager(loggers, routes)] }],
      })),
      clusters: [
        cluster("upstream", upstream),
        ...Object.entries(sinks).map(([name, port]) => ({ ...cluster(name, port), ...http2 })),
      ],
    },
  };
}

/** The panel's stand-in: another Envoy, which answers by itself. */
export function upstreamBootstrap(ports: { admin: number; listener: number }, body: string) {
  const answer = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: body } } };
  return {
    admin: { address: loopback(ports.admin) },
    static_resources: {
      listeners: [
        {
          name: "panel",
          address: loopback(ports.listener),
          filter_chains: [{ filters: [connectionManager([], [answer])] }],
        },
      ],
    },
  };
}

function connectionManager(loggers: readonly AccessLogger[], routes: readonly Route[]) {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      stat_prefix: "gateway",
      use_remote_address: true,
      normalize_path: true,
      access_log: loggers,
      route_config: {
        virtual_hosts: [{ name: "all", domains: ["*"], routes }],
      },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        },
      ],
    },
  };
}

function cluster(name: string, port: number) {
  const endpoint = { endpoint: { address: loopback(port) } };
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    // A measurement runs more requests at a time than the default lets through to one upstream.
    circuit_breakers: {
      thresholds: [{ max_connections: 10_000, max_pending_requests: 10_000, max_requests: 10_000 }],
    },
  };
}

const http2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

const loopback = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });

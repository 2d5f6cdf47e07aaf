import { isIPv6 } from "node:net";
import type { Target } from "./types";

export interface HaproxyConfig {
  addresses: readonly string[];
  ports: readonly number[];
  targets: readonly Target[];
  proxyProtocol: boolean;
  /** Path of the unix socket by which the process is asked about itself and hands over its listeners. */
  socket: string;
}

/** Idle time after which an NLB forgets a TCP connection: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/ */
const idle = "350s";

/**
 * The text of haproxy.cfg. HAProxy reads no PROXY header from clients (no `accept-proxy`): one that a client sends is
 * payload, and arrives at the target behind HAProxy's own.
 */
export function renderHaproxyConfig(config: HaproxyConfig): string {
  const lines = [
    "# Written by the sandbox's load balancer; changes are lost.",
    "global",
    `  stats socket ${config.socket} mode 600 level admin expose-fd listeners`,
    "  nbthread 2",
    "  maxconn 10000",
    // An ordinary user's limit of open files may be lower; HAProxy then takes what it gets.
    "  no strict-limits",
    `  hard-stop-after ${idle}`,
    "defaults",
    "  mode tcp",
    "  timeout connect 5s",
    `  timeout client ${idle}`,
    `  timeout server ${idle}`,
    "  timeout check 2s",
    // An NLB does not try another target: a refused connection must show.
    "  retries 0",
  ];
  for (const port of config.ports) lines.push(...frontend(port, config));
  return `${lines.join("\n")}\n`;
}

function frontend(port: number, config: HaproxyConfig): string[] {
  const options = config.proxyProtocol ? " send-proxy-v2 check-send-proxy" : "";
  const targets = config.targets.filter((target) => target.port === port);
  return [
    `frontend port-${port}`,
    ...config.addresses.map((address) => `  bind ${socketAddress(address, port)}`),
    `  default_backend port-${port}`,
    `backend port-${port}`,
    "  balance roundrobin",
    // The real one's checks come every 10 s by default; a target here is known to be ready from its EndpointSlice.
    "  default-server check inter 2s fall 3 rise 1",
    ...targets.map(
      ({ address, targetPort }) =>
        `  server ${serverName(address, targetPort)} ${socketAddress(address, targetPort)}${options}`,
    ),
  ];
}

function socketAddress(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function serverName(address: string, port: number): string {
  return `${address.replaceAll(/[.:]/g, "-")}-${port}`;
}

import type { KubeConfig } from "@kubernetes/client-node";
import { ingressGateway, readyPodAddress, waitFor } from "./cluster";

/** Port of the gateway's own metrics. https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio */
const statsPort = 15090;

/** A gateway pod's own counters, by Envoy's Prometheus names, summed over labels. */
export async function podStats(address: string): Promise<Map<string, number>> {
  const response = await fetch(`http://${address}:${statsPort}/stats/prometheus`);
  const stats = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name !== undefined) stats.set(name, (stats.get(name) ?? 0) + Number(value));
  }
  return stats;
}

/** The counters of the gateway's first pod that is ready. */
export async function gatewayStats(kubeConfig: KubeConfig): Promise<Map<string, number>> {
  const address = await waitFor("a gateway pod", 30_000, () =>
    readyPodAddress(kubeConfig, ingressGateway.namespace, ingressGateway.labels),
  );
  return podStats(address);
}

/**
 * Waits until the gateway's Envoy has taken configuration that the condition is true of. Needed after each
 * `pulumi up`: istiod sends a change a moment later, and connections that were open before keep the old listener until
 * Envoy has drained it.
 */
export async function gatewayReports(
  kubeConfig: KubeConfig,
  what: string,
  condition: (stats: Map<string, number>) => boolean,
): Promise<void> {
  await waitFor(`the gateway's Envoy with ${what}`, 60_000, async () =>
    condition(await gatewayStats(kubeConfig)) ? true : undefined,
  );
}

/** Counters that tell what the gateway's Envoy has taken from istiod, and written to the exporter. */
export const gatewayCounters = {
  listenersAccepted: "envoy_listener_manager_lds_update_success",
  listenersRejected: "envoy_listener_manager_lds_update_rejected",
  recordsWritten: "envoy_access_logs_open_telemetry_access_log_logs_written",
  recordsDropped: "envoy_access_logs_open_telemetry_access_log_logs_dropped",
} as const;

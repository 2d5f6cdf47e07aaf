import { setTimeout as sleep } from "node:timers/promises";
import { gatewayCounters, gatewayReports, gatewayStats } from "../gateway";
import type { Platform } from "../platform";
import { scrape } from "../platform";
import { waitFor } from "../cluster";
import type { ExporterDeployment } from "./exporterDeployment";
import { underLoad, type ActResult } from "./load";

/** What each replica took of an act's load. */
export interface ShareResult extends ActResult {
  /** Batches and records of each replica, in no order. */
  readonly shares: readonly { readonly batches: number; readonly records: number }[];
}

/** Steady load; who takes how much of it. */
export async function share(
  platform: Platform,
  deployment: ExporterDeployment,
  seconds: number,
): Promise<ShareResult> {
  const pods = await deployment.readyPods();
  const before = await Promise.all(pods.map(({ address }) => taken(address)));
  const result = await underLoad(platform, () => sleep(seconds * 1_000), 40_000);
  const after = await Promise.all(pods.map(({ address }) => taken(address)));
  const shares = after.map(({ batches, records }, index) => ({
    batches: batches - (before[index]?.batches ?? 0),
    records: records - (before[index]?.records ?? 0),
  }));
  return { ...result, shares };
}

/** `pulumi up` with as many replicas, until every one is ready and scraped. */
export async function setReplicas(platform: Platform, deployment: ExporterDeployment, replicas: number) {
  platform.engine.configure({ exporter: { replicas, drainSeconds: 12 } });
  await platform.engine.up();
  await waitFor(`${replicas} exporters, scraped`, 60_000, async () => {
    const [sample] = await platform.prometheus.query("count(vpsight_exporter_build_info)");
    return sample?.value === replicas && (await deployment.readyPods()).length === replicas
      ? true
      : undefined;
  });
}

/** `pulumi up` with another receiver of the gateway's records, until the gateway sends there. */
export async function setReceiver(platform: Platform, receiver: { host: string; port: number }) {
  const { engine, controlPlane } = platform;
  const listeners = (stats: Map<string, number>) => stats.get(gatewayCounters.listenersAccepted) ?? 0;
  const before = listeners(await gatewayStats(controlPlane.kubeConfig));
  engine.configure({ accessLog: { receiver } });
  await engine.up();
  await gatewayReports(controlPlane.kubeConfig, "another receiver", (stats) => listeners(stats) > before);
}

async function taken(address: string): Promise<{ batches: number; records: number }> {
  const text = await scrape(address);
  const value = (metric: string) =>
    Number(new RegExp(`^${metric} (\\d+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  return {
    batches: value("vpsight_exporter_batches_total"),
    records: value('vpsight_exporter_records_total\\{result="counted"\\}'),
  };
}

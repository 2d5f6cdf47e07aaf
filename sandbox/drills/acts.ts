import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMilliseconds, type Ledger } from "../ledger";
import type { Platform } from "../platform";
import type { ExporterDeployment } from "./exporterDeployment";
import { underLoad, type ActResult } from "./load";

/** How long things take in an act. */
export interface ActTimes {
  /** Steady load before and after what happens. */
  readonly steadySeconds: number;
  /** How long the exporter is away in the act of that name. */
  readonly awaySeconds: number;
}

/** Tells a person what goes on. */
export type Tell = (line: string) => void;

/** The parts of a drill. */
export interface Drill {
  readonly platform: Platform;
  readonly deployment: ExporterDeployment;
  readonly times: ActTimes;
  readonly tell: Tell;
}

/** A rolling update of all replicas. */
export function rolling({ platform, deployment, times, tell }: Drill): Promise<ActResult> {
  return underLoad(
    platform,
    async (ledger) => {
      await steady(times, ledger, tell);
      tell(`rolling update of ${(await deployment.readyPods()).length} exporters begins`);
      await deployment.restart();
      tell(`new exporters are ready, old ones drain (${ledger.total} requests so far)`);
      await deployment.settled();
      tell("old exporters are gone");
      await steady(times, ledger, tell);
    },
    40_000,
  );
}

/** No exporter at all for a while. */
export function away({ platform, deployment, times, tell }: Drill): Promise<ActResult> {
  return underLoad(
    platform,
    async (ledger) => {
      const replicas = (await deployment.readyPods()).length;
      await steady(times, ledger, tell);
      await deployment.scale(0);
      tell(`scaled to 0: nobody takes records for ${times.awaySeconds} s`);
      const sent = ledger.total;
      await sleep(times.awaySeconds * 1_000);
      tell(`${ledger.total - sent} requests were sent meanwhile; exporters come back`);
      await deployment.scale(replicas);
      tell("exporters are ready again");
      await steady(times, ledger, tell);
    },
    60_000,
  );
}

/** What a killed replica cost. */
export interface KillResult extends ActResult {
  /** Most requests that can be lost: those that may have reached the replica after its last scrape. */
  readonly bound: number;
}

/** Time a record may take from its request's end to the exporter: the gateway's flush interval, and the call. */
const deliveryMilliseconds = 1_500;

/** `kill -9` of one replica, which starts again in its pod. */
export async function kill({ platform, deployment, times, tell }: Drill): Promise<KillResult> {
  let bound = 0;
  const result = await underLoad(
    platform,
    async (ledger) => {
      await steady(times, ledger, tell);
      const [victim = ""] = await deployment.readyPods();
      const killed = monotonicMilliseconds();
      const lastScrape = await secondsSinceScrape(platform, victim);
      platform.controlPlane.kubelet.kill("vpsight", victim);
      tell(`killed ${victim}, last scraped ${lastScrape.toFixed(1)} s ago`);
      const from = killed - lastScrape * 1_000 - deliveryMilliseconds;
      // What is on its way to the replica in this moment is lost with it: Envoy does not send it again.
      const to = monotonicMilliseconds() + deliveryMilliseconds;
      await steady(times, ledger, tell);
      bound = ledger.entries.filter(
        (entry) => entry.endMilliseconds >= from && entry.endMilliseconds <= to,
      ).length;
    },
    20_000,
  );
  return { ...result, bound };
}

async function steady({ steadySeconds }: ActTimes, ledger: Ledger, tell: Tell): Promise<void> {
  const before = ledger.total;
  await sleep(steadySeconds * 1_000);
  tell(`steady load: ${Math.round((ledger.total - before) / steadySeconds)} requests per second`);
}

async function secondsSinceScrape({ prometheus }: Platform, pod: string): Promise<number> {
  const [sample] = await prometheus.query(`time() - timestamp(vpsight_exporter_build_info{pod="${pod}"})`);
  return sample?.value ?? Infinity;
}

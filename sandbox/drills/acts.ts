import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../cluster";
import { SandboxError } from "../error";
import { gatewayCounters, gatewayStats } from "../gateway";
import { monotonicMilliseconds, type Ledger } from "../ledger";
import { scrape, type Platform } from "../platform";
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

/** No exporter at all for a while. @param patienceMilliseconds how long records may take to arrive after its return. */
export function away(
  { platform, deployment, times, tell }: Drill,
  patienceMilliseconds = 60_000,
): Promise<ActResult> {
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
    patienceMilliseconds,
  );
}

/** What a killed replica cost. */
export interface KillResult extends ActResult {
  /** Most requests that can be lost: what the replica had counted since its last scrape, and what was on its way to it. */
  readonly bound: number;
  /** Of these, records that the gateway counted as dropped: their call was cut off. */
  readonly dropped: number;
}

/** Time that a record may take from its request's end to the exporter: the gateway's flush interval, and the call. */
const deliveryMilliseconds = 1_500;

/** `kill -9` of one replica late in a scrape interval; it starts again in its pod. */
export async function kill({ platform, deployment, times, tell }: Drill): Promise<KillResult> {
  let unread = 0;
  let onTheWay = 0;
  const dropped = async () =>
    (await gatewayStats(platform.controlPlane.kubeConfig)).get(gatewayCounters.recordsDropped) ?? 0;
  const droppedBefore = await dropped();
  const result = await underLoad(
    platform,
    async (ledger) => {
      await steady(times, ledger, tell);
      const [victim] = await deployment.readyPods();
      if (victim === undefined)
        throw new SandboxError("no exporter is ready; see the drill's earlier lines.");
      unread = await waitFor("a replica with records that nobody has read", 30_000, async () => {
        const [counted, read] = await Promise.all([
          ownCount(victim.address),
          scrapedCount(platform, victim.name),
        ]);
        return counted - read > ledger.total / times.steadySeconds ? counted - read : undefined;
      });
      const killed = monotonicMilliseconds();
      platform.controlPlane.kubelet.kill("vpsight", victim.name);
      tell(`killed ${victim.name} with ${unread} records that Prometheus had not read`);
      await steady(times, ledger, tell);
      onTheWay = ledger.entries.filter(
        ({ endMilliseconds }) => Math.abs(endMilliseconds - killed) < deliveryMilliseconds,
      ).length;
    },
    20_000,
  );
  return { ...result, bound: unread + onTheWay, dropped: (await dropped()) - droppedBefore };
}

/** What a replica has counted by its own account, and what Prometheus last read there. */
async function ownCount(address: string): Promise<number> {
  return Number(
    /^vpsight_exporter_records_total\{result="counted"\} (\d+)$/m.exec(await scrape(address))?.[1],
  );
}

async function scrapedCount({ prometheus }: Platform, pod: string): Promise<number> {
  const [sample] = await prometheus.query(`vpsight_exporter_records_total{result="counted",pod="${pod}"}`);
  return sample?.value ?? Number.NaN;
}

async function steady({ steadySeconds }: ActTimes, ledger: Ledger, tell: Tell): Promise<void> {
  const before = ledger.total;
  await sleep(steadySeconds * 1_000);
  tell(`steady load: ${Math.round((ledger.total - before) / steadySeconds)} requests per second`);
}

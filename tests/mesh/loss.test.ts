import { applyObjects, waitFor } from "../../sandbox/cluster";
import { away, kill, rolling, type Drill } from "../../sandbox/drills/acts";
import { ExporterDeployment } from "../../sandbox/drills/exporterDeployment";
import { gatewayCounters, gatewayReports, gatewayStats } from "../../sandbox/gateway";
import { differenceTable } from "../../sandbox/ledger";
import { startPlatform, type Platform } from "../../sandbox/platform";
import { meshNamespace, minutes } from "./support/namespace";
import { podsOf } from "./support/pods";

/**
 * The acts of `make drill-loss`, shorter, with a Prometheus that finds its targets by Endpoints: the operator's default, and
 * the case in which an ending pod is hardest to keep in sight.
 */
let platform: Platform;
let drill: Drill;

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace(), { legacy: false, config: { retired: [] } });
  const deployment = new ExporterDeployment(platform);
  drill = { platform, deployment, times: { steadySeconds: 6, awaySeconds: 10 }, tell: () => undefined };
  await discoverByEndpoints();
}, minutes(4));

afterAll(() => platform.stop(), minutes(1));

async function discoverByEndpoints(): Promise<void> {
  const { controlPlane, prometheus, prometheusUrl } = platform;
  const metadata = { name: "sandbox", namespace: "monitoring" };
  const object = { apiVersion: "monitoring.coreos.com/v1", kind: "Prometheus", metadata };
  await applyObjects(
    controlPlane.kubeConfig,
    [{ ...object, spec: { serviceDiscoveryRole: "Endpoints" } }],
    "test",
  );
  await waitFor("Prometheus' discovery by Endpoints", 60_000, async () => {
    const config = await (await fetch(`${prometheusUrl}/api/v1/status/config`)).text();
    return config.includes("role: endpoints\\n") ? true : undefined;
  });
  await waitFor("a scrape by it", 30_000, async () => {
    const [sample] = await prometheus.query('count(up{job="vpsight-exporter"} == 1)');
    return sample?.value === 2 ? true : undefined;
  });
}

/** Notes when pods of the exporter are told to end, in seconds since 1970. */
function watchEndings(): { stop(): Map<string, number> } {
  const told = new Map<string, number>();
  const look = async () => {
    for (const { metadata } of await podsOf(platform.controlPlane, "vpsight")) {
      const { name = "", deletionTimestamp, deletionGracePeriodSeconds = 0 } = metadata ?? {};
      if (deletionTimestamp === undefined) continue;
      told.set(name, new Date(deletionTimestamp).getTime() / 1_000 - deletionGracePeriodSeconds);
    }
  };
  const timer = setInterval(() => void look(), 1_000);
  return {
    stop: () => {
      clearInterval(timer);
      return told;
    },
  };
}

const dropped = async () =>
  (await gatewayStats(platform.controlPlane.kubeConfig)).get(gatewayCounters.recordsDropped) ?? 0;

test(
  "a rolling update under load loses nothing and counts nothing twice",
  async () => {
    const ending = watchEndings();
    const result = await rolling(drill).finally(() => ending.stop());
    expect(differenceTable(result)).toBe("");
    expect(result).toMatchObject({ lost: 0, misattributed: 0 });
    expect(result.sent).toBeGreaterThan(1_000);
    expect(await dropped()).toBe(0);

    // Each old pod was scraped until its end, which comes 5 + 12 s after it was told: once more after its last record.
    const ended = ending.stop();
    expect(ended.size).toBe(2);
    const scraped = await platform.prometheus.ranges("vpsight_exporter_build_info[10m]");
    for (const { labels, samples } of scraped.filter(({ labels }) => ended.has(labels["pod"] ?? ""))) {
      const told = ended.get(labels["pod"] ?? "") ?? 0;
      expect((samples.at(-1)?.[0] ?? 0) - told).toBeGreaterThan(10);
    }
  },
  minutes(4),
);

test(
  "everything that is sent while there is no exporter arrives after its return",
  async () => {
    const result = await away(drill);
    expect(differenceTable(result)).toBe("");
    expect(result).toMatchObject({ lost: 0, misattributed: 0 });
    expect(await dropped()).toBe(0);
  },
  minutes(4),
);

test(
  "a replica that is killed costs no more than what nobody had read of it",
  async () => {
    const result = await kill(drill);
    expect(result.misattributed).toBe(0);
    expect(result.lost).toBeGreaterThan(0);
    expect(result.lost).toBeLessThanOrEqual(result.bound);
  },
  minutes(4),
);

test("Prometheus has loaded every rule, and finds nothing wrong with it", async () => {
  const answer = (await (await fetch(`${platform.prometheusUrl}/api/v1/rules`)).json()) as {
    data: { groups: { name: string; rules: { name: string; health: string; lastError?: string }[] }[] };
  };
  const rules = answer.data.groups.flatMap(({ rules }) => rules);
  expect(rules.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      "TelemetryIncomplete",
      "TelemetryDropped",
      "TelemetryUnmeasured",
      "ExporterDown",
      "InventoryStale",
    ]),
  );
  expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
});

test(
  "without retries an outage loses records: every one of them is counted as dropped, and the alert fires",
  async () => {
    const { engine, controlPlane, prometheus } = platform;
    const listeners = (stats: Map<string, number>) => stats.get(gatewayCounters.listenersAccepted) ?? 0;
    const before = listeners(await gatewayStats(controlPlane.kubeConfig));
    engine.configure({ accessLog: { retries: 0 } });
    await engine.up();
    await gatewayReports(controlPlane.kubeConfig, "a changed logger", (stats) => listeners(stats) > before);
    const droppedBefore = await dropped();
    const result = await away(drill, 15_000);
    expect(result.lost).toBeGreaterThan(100);
    expect(result.misattributed).toBe(0);
    expect((await dropped()) - droppedBefore).toBe(result.lost);
    const firing = await prometheus.query('ALERTS{alertname="TelemetryDropped",alertstate="firing"}');
    expect(firing).toHaveLength(1);
  },
  minutes(4),
);

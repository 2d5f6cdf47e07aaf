import { collectorReceiver, startCollectorTier } from "../../sandbox/drills/collectorTier";
import { ExporterDeployment } from "../../sandbox/drills/exporterDeployment";
import { setReceiver, setReplicas, share, type ShareResult } from "../../sandbox/drills/share";
import { differenceTable } from "../../sandbox/ledger";
import { startPlatform, type Platform } from "../../sandbox/platform";
import { meshNamespace, minutes } from "./support/namespace";

/** More replicas, and Collectors in front: every one takes part, and the counts stay exact. */
let platform: Platform;
let deployment: ExporterDeployment;
const seconds = 12;

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace(), { legacy: false, config: { retired: [] } });
  deployment = new ExporterDeployment(platform);
}, minutes(4));

afterAll(() => platform.stop(), minutes(1));

function expectExact(result: ShareResult, replicas: number): void {
  expect(differenceTable(result)).toBe("");
  expect(result).toMatchObject({ lost: 0, misattributed: 0 });
  expect(result.shares).toHaveLength(replicas);
  expect(result.shares.filter(({ batches }) => batches === 0)).toEqual([]);
  expect(result.shares.reduce((sum, { records }) => sum + records, 0)).toBe(result.sent);
}

test(
  "two replicas share one gateway's batches",
  async () => {
    expectExact(await share(platform, deployment, seconds), 2);
  },
  minutes(2),
);

test(
  "four replicas do",
  async () => {
    await setReplicas(platform, deployment, 4);
    expectExact(await share(platform, deployment, seconds), 4);
  },
  minutes(3),
);

test(
  "a tier of OpenTelemetry Collectors in front gives exactly the same counts",
  async () => {
    const tier = await startCollectorTier(platform, await platform.exporters());
    await setReceiver(platform, collectorReceiver);
    const result = await share(platform, deployment, seconds);
    expectExact(result, 4);
    const accepted = await tier.accepted();
    expect(accepted.every((records) => records > 0)).toBe(true);
    expect(accepted.reduce((sum, records) => sum + records, 0)).toBe(result.sent);
  },
  minutes(3),
);

import { runOnPlatform } from "../inside";
import { differenceTable } from "../ledger";
import { collectorReceiver, startCollectorTier } from "./collectorTier";
import { ExporterDeployment } from "./exporterDeployment";
import { setReceiver, setReplicas, share, type ShareResult } from "./share";

/** `make drill-scale`: who takes how much of one gateway's load, and that the counts stay exact, through Collectors too. */
runOnPlatform({}, async (platform) => {
  const deployment = new ExporterDeployment(platform);
  const results: ShareResult[] = [];
  const act = async (what: string) => {
    console.log(`${what}: 30 s of load`);
    const result = await share(platform, deployment, 30);
    for (const { batches, records } of result.shares) {
      const percent = Math.round((100 * records) / result.sent);
      console.log(`  a replica took ${batches} batches, ${records} records (${percent} %)`);
    }
    console.log(
      `  ${result.matched} of ${result.sent} requests counted, ${result.lost} lost, ${result.misattributed} too often`,
    );
    if (!result.complete) console.log(differenceTable(result));
    results.push(result);
  };
  await act("2 replicas");
  await setReplicas(platform, deployment, 4);
  await act("4 replicas");
  const tier = await startCollectorTier(platform, await platform.exporters());
  await setReceiver(platform, collectorReceiver);
  await act("4 replicas behind 2 OpenTelemetry Collectors");
  console.log(`  the Collectors took ${(await tier.accepted()).join(" and ")} records`);
  const [two, four, tiered] = results.map(({ off, sent }) => `${off} of ${sent}`);
  console.log(`scale: 2 replicas ${two}, 4 replicas ${four}, collectors ${tiered}`);
  return results.every(({ off, shares }) => off === 0 && shares.every(({ batches }) => batches > 0)) ? 0 : 1;
});

import { setTimeout as sleep } from "node:timers/promises";
import { credentials, status } from "@grpc/grpc-js";
import { AppsV1Api } from "@kubernetes/client-node";
import { waitFor } from "../../sandbox/cluster";
import { controlPlaneAddresses } from "../../sandbox/controlPlane/commands";
import { gatewayCounters, gatewayReports } from "../../sandbox/gateway";
import { scrape, startPlatform, type Platform } from "../../sandbox/platform";
import { accessRecord, encodeRequest, OtlpClient } from "../exporter/otlp";
import { parseExposition, sumOf } from "../exporter/samples";
import { meshNamespace, minutes } from "./support/namespace";
import { addSidecar } from "./support/sidecar";
import { Traffic } from "./support/traffic";

/**
 * Mode mesh: the program's PeerAuthentication and AuthorizationPolicy, taken by the real API server, turned into
 * configuration by the real istiod, and done by a real Envoy beside each exporter pod. What stands in for injection, and
 * what that leaves unproven: support/sidecar.ts.
 */
const namespace = "vpsight";
const name = "vpsight-exporter";

let platform: Platform;
let traffic: Traffic;

const access = (gatewayServiceAccount: string) => ({
  exporter: { drainSeconds: 12, access: { mode: "mesh", gatewayServiceAccount } },
});

const records = async () => {
  const texts = await Promise.all((await platform.exporters()).map(scrape));
  return texts.reduce(
    (sum, text) =>
      sum + sumOf(parseExposition(text), "vpsight_exporter_records_total", { result: "counted" }),
    0,
  );
};

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace(), {
    legacy: false,
    config: { retired: [], ...access("istio-ingressgateway") },
  });
  traffic = new Traffic(platform);
  const { kubeConfig } = platform.controlPlane;
  await addSidecar(platform.controlPlane, { namespace, name, port: 4317 });
  const apps = kubeConfig.makeApiClient(AppsV1Api);
  await waitFor("the exporter with its sidecar", 120_000, async () => {
    const { metadata, status: found, spec } = await apps.readNamespacedDeployment({ namespace, name });
    const current = found?.observedGeneration === metadata?.generation;
    const { updatedReplicas, availableReplicas, replicas } = found ?? {};
    const all = [updatedReplicas, availableReplicas, replicas].every((count) => count === spec?.replicas);
    return current && all ? true : undefined;
  });
  await gatewayReports(kubeConfig, "the OTLP logger", (stats) => stats.has(gatewayCounters.recordsWritten));
}, minutes(6));

afterAll(() => platform.stop(), minutes(1));

test(
  "the gateway's records arrive through the sidecar, every one",
  async () => {
    await traffic.during(() => sleep(6_000));
    expect(await traffic.reconcile()).toMatchObject({ matched: traffic.sent, lost: 0, misattributed: 0 });
    expect(await records()).toBeGreaterThan(50);
  },
  minutes(3),
);

test("istiod's configuration is refused by no Envoy", async () => {
  const metrics = await (await fetch(controlPlaneAddresses.istiodMetrics)).text();
  expect(metrics).toMatch(/^pilot_xds_pushes/m);
  expect(metrics).not.toMatch(/^pilot_total_xds_rejects.* [1-9]/m);
});

test("plain text, and TLS without a certificate of the mesh, are refused", async () => {
  const before = await records();
  const [address] = await platform.exporters();
  const batch = encodeRequest([accessRecord()]);
  for (const secure of [
    credentials.createInsecure(),
    credentials.createSsl(null, null, null, { rejectUnauthorized: false }),
  ]) {
    const sender = new OtlpClient(4317, {}, secure, address);
    expect((await sender.failure(batch)).code).toBe(status.UNAVAILABLE);
    sender.close();
  }
  expect(await records()).toBe(before);
});

test("the metrics port is scraped as before, past the sidecar", async () => {
  const [sample] = await platform.prometheus.query("count(up{job=~'.*vpsight-exporter.*'} == 1)");
  expect(sample?.value).toBe((await platform.exporters()).length);
});

test(
  "another principal than the one allowed is refused: the same gateway, once the policy names another account",
  async () => {
    platform.engine.configure(access("somebody-else"));
    const { changes } = await platform.engine.up();
    expect(changes.map(({ operation, name: changed }) => `${operation} ${changed}`)).toEqual([
      "update exporter-authorization",
    ]);
    await sleep(3_000);
    const before = await records();
    await traffic.during(() => sleep(5_000));
    await sleep(3_000);
    expect(await records()).toBe(before);

    platform.engine.configure(access("istio-ingressgateway"));
    await platform.engine.up();
    await sleep(3_000);
    await traffic.during(() => sleep(5_000));
    await waitFor("records again", 20_000, async () => ((await records()) > before ? true : undefined));
  },
  minutes(3),
);

import { setTimeout as sleep } from "node:timers/promises";
import { credentials, status } from "@grpc/grpc-js";
import { waitFor } from "../../sandbox/cluster";
import { controlPlaneAddresses } from "../../sandbox/controlPlane/commands";
import { ExporterDeployment } from "../../sandbox/drills/exporterDeployment";
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
let deployment: ExporterDeployment;

const access = (gatewayServiceAccount: string) => ({
  exporter: { drainSeconds: 12, access: { mode: "mesh", gatewayServiceAccount } },
});

/** What the exporter's pods that run now serve, or their sidecars. */
const fromPods = async (read: (address: string) => Promise<string>) =>
  Promise.all((await platform.exporters()).map(read));

const records = async () =>
  (await fromPods(scrape)).reduce(
    (sum, text) =>
      sum + sumOf(parseExposition(text), "vpsight_exporter_records_total", { result: "counted" }),
    0,
  );

/** Calls that the sidecars' policy has let through, or refused. */
async function decided(result: "allowed" | "denied"): Promise<number> {
  const texts = await fromPods(async (address) =>
    (await fetch(`http://${address}:15090/stats/prometheus`)).text(),
  );
  const counts = texts.flatMap((text) => [...text.matchAll(/^envoy_http_rbac\{(.*)\} (\d+)$/gm)]);
  return counts
    .filter(([, labels]) => labels?.includes(`"${result}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}

beforeAll(async () => {
  // First with another account than the gateway's.
  platform = await startPlatform(await meshNamespace(), {
    legacy: false,
    config: { retired: [], ...access("somebody-else") },
  });
  const { controlPlane } = platform;
  deployment = new ExporterDeployment(platform);
  await addSidecar(controlPlane, { namespace, name, port: 4317 });
  await renewPods();
  await gatewayReports(controlPlane.kubeConfig, "the OTLP logger", (stats) =>
    stats.has(gatewayCounters.recordsWritten),
  );
}, minutes(4));

afterAll(() => platform.stop(), minutes(1));

/** All pods at once: a connection that stands keeps to the policy under which it was made, as long as Envoy drains it. */
async function renewPods(): Promise<void> {
  await deployment.scale(0);
  await deployment.scale(2);
}

test(
  "another principal than the one allowed is refused by the policy: the gateway, while the policy names another account",
  async () => {
    await new Traffic(platform).during(() => sleep(4_000));
    await waitFor("a refusal", 30_000, async () => ((await decided("denied")) > 0 ? true : undefined));
    expect(await decided("allowed")).toBe(0);
    expect(await records()).toBe(0);
  },
  minutes(1),
);

test(
  "with the gateway's account its records arrive through the sidecar, every one",
  async () => {
    platform.engine.configure(access("istio-ingressgateway"));
    const { changes } = await platform.engine.up();
    expect(changes.map(({ operation, name: changed }) => `${operation} ${changed}`)).toEqual([
      "update exporter-authorization",
    ]);
    await renewPods();
    const traffic = new Traffic(platform);
    await traffic.during(() => sleep(6_000));
    expect(await traffic.reconcile()).toMatchObject({ matched: traffic.sent, lost: 0, misattributed: 0 });
    expect(await records()).toBe(traffic.sent);
    expect(await decided("allowed")).toBeGreaterThan(0);
    expect(await decided("denied")).toBe(0);
  },
  minutes(3),
);

test("istiod's configuration is refused by no Envoy", async () => {
  const metrics = await (await fetch(controlPlaneAddresses.istiodMetrics)).text();
  expect(metrics).toMatch(/^pilot_xds_pushes/m);
  expect(metrics).not.toMatch(/^pilot_total_xds_rejects.* [1-9]/m);
});

test.each([
  ["plain text", credentials.createInsecure()],
  [
    "TLS without a certificate of the mesh",
    credentials.createSsl(null, null, null, { rejectUnauthorized: false }),
  ],
])("%s is refused", async (_what, secure) => {
  const before = await records();
  const [address] = await platform.exporters();
  const sender = new OtlpClient(4317, { "grpc.ssl_target_name_override": name }, secure, address);
  expect((await sender.failure(encodeRequest([accessRecord()]))).code).toBe(status.UNAVAILABLE);
  sender.close();
  expect(await records()).toBe(before);
});

test("the metrics port is scraped as before, past the sidecar", async () => {
  for (const address of await platform.exporters()) {
    const [sample] = await platform.prometheus.query(`up{instance="${address}:9464"}`);
    expect(sample?.value).toBe(1);
  }
});

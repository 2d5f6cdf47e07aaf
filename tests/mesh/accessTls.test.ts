import { setTimeout as sleep } from "node:timers/promises";
import { credentials, status } from "@grpc/grpc-js";
import { applyObjects, ingressGateway, waitFor } from "../../sandbox/cluster";
import { controlPlaneAddresses } from "../../sandbox/controlPlane/commands";
import { ExporterDeployment } from "../../sandbox/drills/exporterDeployment";
import { gatewayCounters, gatewayReports, gatewayStats } from "../../sandbox/gateway";
import { differenceTable } from "../../sandbox/ledger";
import { scrape, startPlatform, type Platform } from "../../sandbox/platform";
import { accessRecord, encodeRequest, OtlpClient } from "../exporter/otlp";
import { parseExposition, sumOf, valueOf } from "../exporter/samples";
import { TestCertificates, type KeyPair } from "../support/clientCertificates";
import { meshNamespace, minutes } from "./support/namespace";
import { podLogs, podsOf } from "./support/pods";
import { Traffic } from "./support/traffic";

/**
 * Mode tls: the real gateway's Envoy, configured by the real istiod from the program's DestinationRule and a Secret, sends
 * its records to the exporter by mutual TLS; nobody else is let in.
 */
const namespace = "vpsight";
const serverName = "vpsight-exporter.vpsight.svc.cluster.local";
const gatewayName = "gateway.vpsight.test";
const secrets = { server: "otlp-server", gateway: "otlp-client" } as const;

let platform: Platform;
let deployment: ExporterDeployment;
let traffic: Traffic;
let ours: TestCertificates;
let others: TestCertificates;
let gateway: KeyPair;

const withAccess = (access: unknown) => ({ exporter: { drainSeconds: 12, access } });
const plainText = withAccess({ mode: "network" });
const mutualTls = withAccess({
  mode: "tls",
  secret: secrets.server,
  gatewaySecret: secrets.gateway,
  clientNames: [gatewayName],
});
const client = { commonName: "x", alternativeNames: [gatewayName], usage: "client" } as const;

async function putSecret(
  where: string,
  name: string,
  { cert, key }: KeyPair,
  authority: Buffer,
): Promise<void> {
  const data = { "tls.crt": cert, "tls.key": key, "ca.crt": authority };
  const encoded = Object.entries(data).map(([file, bytes]) => [file, bytes.toString("base64")]);
  const metadata = { name, namespace: where };
  await applyObjects(
    platform.controlPlane.kubeConfig,
    [
      {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/tls",
        metadata,
        data: Object.fromEntries(encoded) as object,
      },
    ],
    "test",
  );
}

const putServerSecret = async (name = serverName) =>
  putSecret(
    namespace,
    secrets.server,
    await ours.issue({ commonName: "exporter", alternativeNames: [name] }),
    ours.authorityText,
  );
const putGatewaySecret = (pair: KeyPair) =>
  putSecret(ingressGateway.namespace, secrets.gateway, pair, ours.authorityText);

/** The sum over the exporter's pods that run now. */
async function exporterSum(metric: string, labels: Record<string, string>): Promise<number> {
  const texts = await Promise.all((await platform.exporters()).map(scrape));
  return texts.reduce((sum, text) => sum + sumOf(parseExposition(text), metric, labels), 0);
}

const refused = (reason: string) => exporterSum("vpsight_exporter_tls_connections_refused_total", { reason });

const counted = () => exporterSum("vpsight_exporter_records_total", { result: "counted" });
const dropped = async () =>
  (await gatewayStats(platform.controlPlane.kubeConfig)).get(gatewayCounters.recordsDropped) ?? 0;
const exact = () => ({ matched: traffic.sent, lost: 0, misattributed: 0 });

/** All pods at once: the gateway's connections end, and new ones show their certificates anew. */
async function renewPods(): Promise<void> {
  await deployment.scale(0);
  await deployment.scale(2);
}

/** A right certificate for the exporter, in force in every pod without a restart. */
async function renewServerCertificate(): Promise<void> {
  const metric = "vpsight_exporter_tls_certificate_expiry_timestamp_seconds";
  const expiries = async () =>
    (await Promise.all((await platform.exporters()).map(scrape))).map(
      (text) => valueOf(parseExposition(text), metric) ?? 0,
    );
  const before = Math.max(...(await expiries()));
  await putServerSecret();
  await waitFor("the renewed certificate in force", 30_000, async () =>
    (await expiries()).every((expiry) => expiry > before) ? true : undefined,
  );
}

beforeAll(async () => {
  [ours, others] = await Promise.all([TestCertificates.create(), TestCertificates.create()]);
  platform = await startPlatform(await meshNamespace(), {
    deploy: false,
    legacy: false,
    config: { retired: [], namespace: { create: false }, ...mutualTls },
  });
  deployment = new ExporterDeployment(platform);
  traffic = new Traffic(platform);
  gateway = await ours.issue(client);
  const { kubeConfig } = platform.controlPlane;
  const metadata = { name: namespace };
  await applyObjects(kubeConfig, [{ apiVersion: "v1", kind: "Namespace", metadata }], "test");
  await Promise.all([putServerSecret(), putGatewaySecret(gateway)]);
  await platform.engine.up();
  await gatewayReports(kubeConfig, "the OTLP logger", (stats) => stats.has(gatewayCounters.recordsWritten));
}, minutes(4));

afterAll(async () => {
  await platform.stop();
  ours.remove();
  others.remove();
}, minutes(1));

describe("from another place in the cluster", () => {
  const batch = encodeRequest([accessRecord({ clientAddress: "198.51.100.9" })]);

  async function send(pair: KeyPair | undefined): Promise<"taken" | number> {
    const [address] = await platform.exporters();
    const secure = credentials.createSsl(ours.authorityText, pair?.key ?? null, pair?.cert ?? null);
    const options = { "grpc.ssl_target_name_override": serverName };
    const sender = new OtlpClient(4317, options, secure, address);
    try {
      await sender.send(batch);
      return "taken";
    } catch (error) {
      return typeof error === "object" && error !== null && "code" in error ? Number(error.code) : -1;
    } finally {
      sender.close();
    }
  }

  test.each<[string, string, () => Promise<KeyPair | undefined>]>([
    ["no certificate", "no_certificate", () => Promise.resolve(undefined)],
    ["another authority's", "certificate", () => others.issue(client)],
    ["one that has expired", "certificate", () => ours.issueExpired(gatewayName)],
    ["another name's", "name", () => ours.issue({ ...client, alternativeNames: ["other.vpsight.test"] })],
  ])("%s is refused", async (_what, reason, pair) => {
    const before = await refused(reason);
    expect(await send(await pair())).toBe(status.UNAVAILABLE);
    expect(await refused(reason)).toBeGreaterThan(before);
  });

  test("the gateway's own certificate would be taken, so it is the certificate that decides", async () => {
    // Not from the gateway, so the ledger knows nothing of it: an empty batch.
    const [address] = await platform.exporters();
    const secure = credentials.createSsl(ours.authorityText, gateway.key, gateway.cert);
    const sender = new OtlpClient(4317, { "grpc.ssl_target_name_override": serverName }, secure, address);
    expect(await sender.send(encodeRequest([]))).toHaveLength(0);
    sender.close();
  });
});

test(
  "a renewed certificate of the exporter is taken over without a restart, and the records go on",
  async () => {
    const pods = async () =>
      (await podsOf(platform.controlPlane, namespace)).map(({ metadata }) => metadata?.uid);
    const before = await pods();
    await traffic.during(async () => {
      await renewServerCertificate();
      await sleep(3_000);
    });
    expect(await traffic.reconcile()).toMatchObject(exact());
    expect(await pods()).toEqual(before);
  },
  minutes(2),
);

test(
  "the gateway refuses an exporter whose certificate is for another name, and its records wait for the right one",
  async () => {
    await putServerSecret("somebody-else.vpsight.svc.cluster.local");
    await renewPods();
    await traffic.during(() => sleep(4_000));
    await sleep(2_000);
    expect(await counted()).toBe(0);
    await renewServerCertificate();
    expect(await traffic.reconcile()).toMatchObject(exact());
  },
  minutes(2),
);

test(
  "to plain text and back to mutual TLS, under load, and no record is lost",
  async () => {
    await traffic.during(async () => {
      for (const config of [plainText, mutualTls]) {
        platform.engine.configure(config);
        await platform.engine.up();
        // The last pods of the other kind take records until the gateway has left them.
        await sleep(6_000);
      }
    });
    const result = await traffic.reconcile();
    expect(differenceTable(result)).toBe("");
    expect(result).toMatchObject(exact());
    expect(await dropped()).toBe(0);
  },
  minutes(4),
);

test(
  "a gateway with a certificate of another name is refused, until it has the right one",
  async () => {
    await putGatewaySecret(await ours.issue({ ...client, alternativeNames: ["other.vpsight.test"] }));
    // The gateway gets it from istiod by SDS.
    await sleep(3_000);
    await renewPods();
    await traffic.during(() =>
      waitFor("refused connections", 30_000, async () => ((await refused("name")) > 0 ? true : undefined)),
    );
    expect(await counted()).toBe(0);
    await waitFor("dropped records", 10_000, async () => ((await dropped()) > 0 ? true : undefined));
    await putGatewaySecret(gateway);
    await traffic.during(() =>
      waitFor("records again", 40_000, async () => ((await counted()) > 0 ? true : undefined)),
    );
  },
  minutes(2),
);

test("istiod and the gateway's Envoy refused nothing", async () => {
  const metrics = await (await fetch(controlPlaneAddresses.istiodMetrics)).text();
  expect(metrics).toMatch(/^pilot_xds_pushes/m);
  expect(metrics).not.toMatch(/^pilot_total_xds_rejects.* [1-9]/m);
  const stats = await gatewayStats(platform.controlPlane.kubeConfig);
  expect(stats.get(gatewayCounters.listenersRejected)).toBe(0);
});

test("no key and no certificate of anybody is in a log", async () => {
  const { controlPlane } = platform;
  const files = ["istio-system", namespace].map(async (where) =>
    podLogs(controlPlane, await podsOf(controlPlane, where)),
  );
  const logs = (await Promise.all(files)).join("\n");
  expect(logs).toContain("inventory in force");
  expect(logs).not.toMatch(/-----BEGIN/);
  expect(logs).not.toContain(gateway.key.toString().split("\n")[1]);
});

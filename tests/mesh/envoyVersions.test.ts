import {
  envoyVersions,
  gatewayDeployment,
  ingressGateway,
  readyPodAddress,
  toClusterObject,
  applyObjects,
  waitFor,
} from "../../sandbox/cluster";
import { forgeProxyHeader } from "../../sandbox/fleet";
import { gatewayCounters, podStats } from "../../sandbox/gateway";
import { Ledger, waitForCounts } from "../../sandbox/ledger";
import { sandboxNetwork } from "../../sandbox/namespace/network";
import { startPlatform, type Platform } from "../../sandbox/platform";
import { meshNamespace, minutes } from "./support/namespace";

/**
 * One gateway for each supported Envoy, beside the first, all configured by the same istiod from the same
 * objects. One operator that a version does not know would make it refuse the whole listener.
 */
let platform: Platform;
const ledger = new Ledger();

const named = (version: string) => `gateway-envoy-${version.replace(".", "-")}`;

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace(), { legacy: false, config: { retired: [] } });
  const deployments = envoyVersions.map((version) => {
    const deployment = gatewayDeployment({ envoy: version });
    const labels = { ...ingressGateway.labels, gateway: named(version) };
    const { spec } = deployment;
    if (spec === undefined) throw new Error("the gateway's Deployment has no spec");
    const template = {
      ...spec.template,
      metadata: { ...spec.template.metadata, labels: { ...spec.template.metadata?.labels, ...labels } },
    };
    return {
      ...deployment,
      metadata: { ...deployment.metadata, name: named(version) },
      spec: { ...spec, selector: { matchLabels: labels }, template },
    };
  });
  await applyObjects(platform.controlPlane.kubeConfig, deployments.map(toClusterObject), "test");
}, minutes(4));

afterAll(() => platform.stop(), minutes(1));

test.each(envoyVersions)(
  "Envoy %s takes the configuration, and its records arrive",
  async (version) => {
    const { controlPlane, prometheus, target, token, plan } = platform;
    const address = await waitFor(`a ready gateway with Envoy ${version}`, 120_000, () =>
      readyPodAddress(controlPlane.kubeConfig, ingressGateway.namespace, { gateway: named(version) }),
    );
    const stats = await waitFor(`the OTLP logger in Envoy ${version}`, 30_000, async () => {
      const found = await podStats(address);
      return found.has(gatewayCounters.recordsWritten) ? found : undefined;
    });
    expect(stats.get(gatewayCounters.listenersRejected)).toBe(0);

    // The test is the load balancer here: it calls the pod itself, with a PROXY header that names a VPS.
    const [vps] = plan;
    const [node] = vps?.nodes ?? [];
    if (vps === undefined || node === undefined) throw new Error("the fleet is empty");
    const outcome = await forgeProxyHeader({
      target: { ...target, ipv4: address, port: 8443 },
      sender: { vps: vps.vps, region: vps.region },
      localAddress: sandboxNetwork.nodeAddress,
      claimedAddress: node.localAddress,
      nodeId: node.nodeId,
      token,
      ledger,
    });
    expect(outcome).toBe("accepted");
    expect(ledger.entries.at(-1)?.code).toBe(200);
    expect(await waitForCounts(ledger.counts(), () => prometheus.requestCounts())).toMatchObject({
      complete: true,
    });
  },
  minutes(4),
);

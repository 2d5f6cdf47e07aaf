import { Server, ServerCredentials } from "@grpc/grpc-js";
import { accessLogPatches } from "../../../components/gatewayAccessLog";
import { exportPath } from "../../../exporter/receive/server";
import { applyObjects, ingressGateway } from "../../../sandbox/cluster";
import { gatewayCounters, gatewayReports, gatewayStats } from "../../../sandbox/gateway";
import { sandboxNetwork } from "../../../sandbox/namespace/network";
import type { Platform } from "../../../sandbox/platform";

const name = "otlp-capture";
const port = 14317;

/**
 * Has the gateway send everything a second time, in the format the program deploys, to a receiver that keeps the
 * bytes: what is in the stream, and not what the exporter makes of it.
 */
export async function captureOtlp({ controlPlane }: Platform): Promise<{ stop(): Promise<Buffer> }> {
  const batches: Buffer[] = [];
  const server = new Server();
  const asBytes = (bytes: Buffer) => bytes;
  server.register<Buffer, Buffer>(
    exportPath,
    (call: { request: Buffer }, reply: (error: null, value: Buffer) => void) => {
      batches.push(call.request);
      reply(null, Buffer.alloc(0));
    },
    asBytes,
    asBytes,
    "unary",
  );
  await new Promise<void>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync(`${sandboxNetwork.nodeAddress}:${port}`, credentials, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const namespace = "monitoring";
  const configPatches = accessLogPatches({
    pathPrefixes: ["/api/v1/server/", "/api/v2/server/"],
    stdout: false,
    bufferBytes: 16384,
    flushInterval: "1s",
    retries: 20,
    receiver: { host: `${name}.${namespace}.svc.cluster.local`, port },
  });
  const before = updates(await gatewayStats(controlPlane.kubeConfig));
  await applyObjects(
    controlPlane.kubeConfig,
    [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace },
        spec: { clusterIP: "None", ports: [{ name: "grpc-otlp", port }] },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        ports: [{ name: "grpc-otlp", port, protocol: "TCP" }],
        endpoints: [{ addresses: [sandboxNetwork.nodeAddress], conditions: { ready: true } }],
      },
      {
        apiVersion: "networking.istio.io/v1alpha3",
        kind: "EnvoyFilter",
        metadata: { name, namespace: ingressGateway.namespace },
        spec: { workloadSelector: { labels: ingressGateway.labels }, configPatches },
      },
    ],
    "test",
  );
  await gatewayReports(controlPlane.kubeConfig, "the capturing logger", (stats) => updates(stats) > before);
  return {
    stop: async () => {
      server.forceShutdown();
      return Buffer.concat(batches);
    },
  };
}

const updates = (stats: Map<string, number>) => stats.get(gatewayCounters.listenersAccepted) ?? 0;

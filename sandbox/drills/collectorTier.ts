import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { applyObjects, collectorImage, readyPods, waitFor } from "../cluster";
import type { Platform } from "../platform";

const namespace = "observability";
const name = "otel-collector";
const replicas = 2;
const labels = { app: name };

/** Where the gateway reaches the tier: the value of `accessLog.receiver`. */
export const collectorReceiver = { host: `${name}.${namespace}.svc.cluster.local`, port: 4317 };

/** What the tier's configuration calls the exporters; hostAliases stand in for the cluster DNS that the sandbox lacks. */
const exportersHost = "vpsight-exporter-direct.vpsight.svc.cluster.local";

/** Two OpenTelemetry Collectors with the configuration of docs/otel-collector.yaml. */
export async function startCollectorTier(
  { controlPlane: { kubeConfig } }: Platform,
  exporters: readonly string[],
): Promise<CollectorTier> {
  const config = await readFile(join(__dirname, "../../docs/otel-collector.yaml"), "utf8");
  const metadata = { name, namespace, labels };
  await applyObjects(
    kubeConfig,
    [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
      { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "config.yaml": config } },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata,
        spec: { selector: labels, ports: [{ name: "grpc-otlp", port: collectorReceiver.port }] },
      },
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata,
        spec: {
          replicas,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              hostAliases: exporters.map((ip) => ({ ip, hostnames: [exportersHost] })),
              containers: [
                {
                  name: "collector",
                  image: collectorImage,
                  args: ["--config=/etc/otelcol/config.yaml"],
                  ports: [{ name: "grpc-otlp", containerPort: collectorReceiver.port }],
                  readinessProbe: { tcpSocket: { port: collectorReceiver.port }, periodSeconds: 1 },
                  volumeMounts: [{ name: "config", mountPath: "/etc/otelcol" }],
                },
              ],
              volumes: [{ name: "config", configMap: { name } }],
            },
          },
        },
      },
    ],
    "sandbox",
  );
  const pods = await waitFor("the Collectors", 60_000, async () => {
    const ready = await readyPods(kubeConfig, namespace, labels);
    return ready.length === replicas ? ready.map(({ status }) => status?.podIP ?? "") : undefined;
  });
  return { accepted: async () => Promise.all(pods.map(acceptedRecords)) };
}

/** A running tier. */
export interface CollectorTier {
  /** Records that each Collector has taken, by its own account. */
  accepted(): Promise<number[]>;
}

async function acceptedRecords(address: string): Promise<number> {
  const text = await (await fetch(`http://${address}:8888/metrics`)).text();
  return Number(/^otelcol_receiver_accepted_log_records(?:_total)?\{.*\} (\S+)$/m.exec(text)?.[1] ?? 0);
}

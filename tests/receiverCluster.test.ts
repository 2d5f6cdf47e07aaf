import { configSchema } from "../configSchema";
import { mostWaitingBatches, receiverClusterName, receiverClusters } from "../components/receiverCluster";

/** That Envoy takes them, and what they are good for, `tests/mesh/loss.test.ts` shows. */
const receiver = { host: "vpsight-exporter.vpsight.svc.cluster.local", port: 4317 };

interface Cluster {
  name: string;
  cluster_type?: { typed_config: { clusters: string[] } };
  circuit_breakers: { thresholds: object[] };
}

const clusters = () => receiverClusters(receiver).map(({ patch }) => patch?.value as unknown as Cluster);

test("the receiver's own cluster comes first, one where nobody listens after it", () => {
  const [nobody, aggregate] = clusters();
  expect(aggregate?.name).toBe(receiverClusterName(receiver));
  expect(aggregate?.cluster_type?.typed_config.clusters).toEqual([
    "outbound|4317||vpsight-exporter.vpsight.svc.cluster.local",
    nobody?.name,
  ]);
});

test("as many batches may wait as the memory bound says", () => {
  expect(clusters().map(({ circuit_breakers }) => circuit_breakers.thresholds)).toEqual([
    [{ max_pending_requests: mostWaitingBatches }],
    [{ max_retries: mostWaitingBatches }],
  ]);
  const { bufferBytes } = configSchema.parse({ fleet: { file: "-" } }).accessLog;
  expect(mostWaitingBatches * bufferBytes).toBe(64 * 1024 * 1024);
});

test("two receivers have clusters of their own", () => {
  const other = receiverClusters({ ...receiver, port: 4318 }).map(
    ({ patch }) => (patch?.value as unknown as Cluster).name,
  );
  expect(
    clusters()
      .map(({ name }) => name)
      .filter((name) => other.includes(name)),
  ).toEqual([]);
});

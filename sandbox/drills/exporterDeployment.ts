import { setTimeout as sleep } from "node:timers/promises";
import { AppsV1Api, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import { listPods, readyPods, waitFor } from "../cluster";
import { exporterLabels, type Platform } from "../platform";

/** The exporter's Deployment as `kubectl` handles it: restart, scale, wait. */
export class ExporterDeployment {
  private readonly place = { namespace: "vpsight", name: "vpsight-exporter" };

  constructor(private readonly platform: Platform) {}

  /** `kubectl rollout restart`, and `rollout status`. */
  async restart(): Promise<void> {
    const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
    await this.patch({ spec: { template: { metadata: { annotations } } } });
    await waitFor("the rolling update", 120_000, async () => {
      const { metadata, spec, status } = await this.apps.readNamespacedDeployment(this.place);
      const { updatedReplicas, replicas, availableReplicas, observedGeneration } = status ?? {};
      const wanted = spec?.replicas;
      const current = observedGeneration === metadata?.generation;
      const complete = [updatedReplicas, replicas, availableReplicas].every((count) => count === wanted);
      return current && complete ? true : undefined;
    });
  }

  /** `kubectl scale`; settles when as many pods as wanted are ready. */
  async scale(replicas: number): Promise<void> {
    await this.patch({ spec: { replicas } });
    await waitFor(`${replicas} exporters`, 120_000, async () =>
      (await this.readyPods()).length === replicas ? true : undefined,
    );
  }

  /** Waits until no pod is on its way out. */
  async settled(): Promise<void> {
    await waitFor("the end of old exporters", 120_000, async () =>
      (await listPods(...this.which)).every(({ metadata }) => metadata?.deletionTimestamp === undefined)
        ? true
        : undefined,
    );
    await sleep(1_000);
  }

  /** Those that are ready and stay. */
  async readyPods(): Promise<{ name: string; address: string }[]> {
    const pods = await readyPods(...this.which);
    return pods.map(({ metadata, status }) => ({
      name: metadata?.name ?? "",
      address: status?.podIP ?? "",
    }));
  }

  private get which(): Parameters<typeof listPods> {
    return [this.platform.controlPlane.kubeConfig, this.place.namespace, exporterLabels];
  }

  private get apps(): AppsV1Api {
    return this.platform.controlPlane.kubeConfig.makeApiClient(AppsV1Api);
  }

  private async patch(body: object): Promise<void> {
    await this.apps.patchNamespacedDeployment(
      { ...this.place, body },
      setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
    );
  }
}

import { setTimeout as sleep } from "node:timers/promises";
import {
  ApiException,
  CoreV1Api,
  type KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  type V1Pod,
} from "@kubernetes/client-node";
import type { PatchedPodStatus } from "./podStatus";
import type { TokenWish } from "./projection";

/** What a Pod's worker asks of the API server. */
export class PodApi {
  private readonly core: CoreV1Api;
  /** Where a Pod finds the API server; not the cluster address, which nobody answers without kube-proxy. */
  readonly serviceEnvironment: Record<string, string>;

  constructor(kubeConfig: KubeConfig, nodeAddress: string) {
    this.core = kubeConfig.makeApiClient(CoreV1Api);
    const server = new URL(kubeConfig.getCurrentCluster()?.server ?? "https://127.0.0.1:6443");
    const port = server.port || "443";
    this.serviceEnvironment = {
      KUBERNETES_SERVICE_HOST: nodeAddress,
      KUBERNETES_SERVICE_PORT: port,
      KUBERNETES_SERVICE_PORT_HTTPS: port,
    };
  }

  /** @returns false when the Pod no longer exists. */
  async patchStatus(pod: V1Pod, status: PatchedPodStatus): Promise<boolean> {
    // The uid makes it fail for a newer Pod of the same name.
    const body = { metadata: { uid: pod.metadata?.uid }, status };
    try {
      await this.core.patchNamespacedPodStatus(
        { ...named(pod), body },
        setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
      );
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  /** Takes the ended Pod's object away; tries until the API server answers. */
  async deletePod(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? "";
    for (let tries = 0; tries < 60; tries++) {
      try {
        await this.core.deleteNamespacedPod({
          ...named(pod),
          gracePeriodSeconds: 0,
          body: { gracePeriodSeconds: 0, preconditions: { uid } },
        });
        return;
      } catch (error) {
        if (isGone(error)) return;
        await sleep(500);
      }
    }
  }

  async requestToken(pod: V1Pod, wish: TokenWish): Promise<string> {
    const { name, namespace } = named(pod);
    const answer = await this.core.createNamespacedServiceAccountToken({
      name: pod.spec?.serviceAccountName ?? "default",
      namespace,
      body: {
        spec: {
          audiences: wish.audience === "" ? [] : [wish.audience],
          expirationSeconds: wish.expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid: pod.metadata?.uid ?? "" },
        },
      },
    });
    return answer.status?.token ?? "";
  }
}

function named(pod: V1Pod): { name: string; namespace: string } {
  return { name: pod.metadata?.name ?? "", namespace: pod.metadata?.namespace ?? "" };
}

/** Not found, or another object by now has the name. */
function isGone(error: unknown): boolean {
  return error instanceof ApiException && (error.code === 404 || error.code === 409);
}

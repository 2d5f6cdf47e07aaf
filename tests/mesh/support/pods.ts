import { readFileSync } from "node:fs";
import { CoreV1Api, type V1Pod } from "@kubernetes/client-node";
import type { ControlPlane } from "../../../sandbox/controlPlane";

export async function podsOf(controlPlane: ControlPlane, namespace: string): Promise<V1Pod[]> {
  const { items } = await controlPlane.kubeConfig.makeApiClient(CoreV1Api).listNamespacedPod({ namespace });
  return items;
}

/** What every container of these pods has written. */
export function podLogs({ kubelet }: ControlPlane, pods: readonly V1Pod[]): string {
  return pods
    .flatMap(({ metadata, spec }) =>
      (spec?.containers ?? []).map(({ name }) =>
        readFileSync(kubelet.logPath(metadata?.namespace ?? "", metadata?.name ?? "", name), "utf8"),
      ),
    )
    .join("\n");
}

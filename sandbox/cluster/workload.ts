import { CoreV1Api, type KubeConfig, type V1ContainerStatus, type V1Pod } from "@kubernetes/client-node";

/** Why the Pods of a namespace are not ready, in the cluster's own words; "no Pod" when there is none. */
export async function workloadProblems(kubeConfig: KubeConfig, namespace: string): Promise<string> {
  const { items } = await kubeConfig.makeApiClient(CoreV1Api).listNamespacedPod({ namespace });
  if (items.length === 0) return `no Pod in the namespace ${namespace}`;
  const problems = items.flatMap(podProblems);
  return problems.length === 0 ? "all its Pods are ready" : problems.join("; ");
}

/** The Pods with all of these labels. */
export async function listPods(
  kubeConfig: KubeConfig,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Promise<V1Pod[]> {
  const labelSelector = Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
  const { items } = await kubeConfig.makeApiClient(CoreV1Api).listNamespacedPod({ namespace, labelSelector });
  return items;
}

/** Those of them that are ready and stay. */
export async function readyPods(...which: Parameters<typeof listPods>): Promise<V1Pod[]> {
  const pods = await listPods(...which);
  return pods.filter((pod) => pod.metadata?.deletionTimestamp === undefined && isReady(pod));
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

/** What keeps a Pod from being ready; empty when it is ready. */
export function podProblems(pod: V1Pod): string[] {
  if (isReady(pod)) return [];
  const { conditions = [], containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const name = pod.metadata?.name ?? "";
  const unscheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (unscheduled !== undefined) return [`${name}: not scheduled: ${unscheduled.message ?? ""}`];
  const problems = [...initContainerStatuses, ...containerStatuses].flatMap((status) =>
    containerProblem(name, status),
  );
  return problems.length === 0 ? [`${name}: ${pod.status?.phase ?? "unknown"}`] : problems;
}

function containerProblem(pod: string, status: V1ContainerStatus): string[] {
  const { name, ready, restartCount, state, lastState } = status;
  if (ready) return [];
  if (state?.waiting !== undefined) {
    const { reason = "waiting", message = "" } = state.waiting;
    const last = lastState?.terminated;
    const end = last === undefined ? "" : `, last exit code ${last.exitCode}`;
    return [
      `${pod}/${name}: ${reason}${message === "" ? "" : ` (${message})`}, ${restartCount} restarts${end}`,
    ];
  }
  if (state?.running !== undefined) return [`${pod}/${name}: runs, but its readiness probe fails`];
  return [];
}

import type { V1ContainerStatus, V1Pod, V1PodCondition, V1PodStatus } from "@kubernetes/client-node";

/** What the kubelet knows about a Pod at one moment. */
export interface PodSnapshot {
  pod: V1Pod;
  startTime: Date;
  /** undefined until the network is there. */
  podAddress: string | undefined;
  nodeAddress: string;
  /** One for each container of the spec, in its order. */
  initContainers: V1ContainerStatus[];
  containers: V1ContainerStatus[];
  /** Why the Pod as a whole cannot start yet. */
  problem?: { reason: string; message: string } | undefined;
}

/** A condition as it is patched: null takes away what an earlier one said. */
type Condition = Omit<V1PodCondition, "reason" | "message"> & {
  reason: string | null;
  message: string | null;
};

export type PatchedPodStatus = Omit<V1PodStatus, "conditions" | "reason" | "message"> & {
  conditions: Condition[];
  reason: string | null;
  message: string | null;
};

/** The status of a Pod, as a strategic merge patch; `previous` gives conditions their transition times. */
export function podStatus(
  snapshot: PodSnapshot,
  previous: readonly Condition[],
  now: Date,
): PatchedPodStatus {
  const { pod, podAddress, nodeAddress, initContainers, containers } = snapshot;
  const phase = podPhase(snapshot);
  const notInitialized = initContainers.filter((status) => !initDone(pod, status)).map(({ name }) => name);
  // A sidecar (an init container that is restarted always) has to be ready too.
  const long = [...initContainers.filter(({ name }) => isSidecar(pod, name)), ...containers];
  const unready = long.filter((status) => !status.ready).map(({ name }) => name);
  const completed = phase === "Succeeded" ? "PodCompleted" : phase === "Failed" ? "PodFailed" : undefined;
  const containersReady: Verdict = completed
    ? [false, completed]
    : [unready.length === 0, "ContainersNotReady", `containers with unready status: [${unready.join(" ")}]`];
  const conditions: Condition[] = [
    condition("PodScheduled", [true], previous, now),
    condition("PodReadyToStartContainers", [podAddress !== undefined], previous, now),
    condition(
      "Initialized",
      [
        notInitialized.length === 0 && podAddress !== undefined,
        "ContainersNotInitialized",
        `containers with incomplete status: [${notInitialized.join(" ")}]`,
      ],
      previous,
      now,
    ),
    condition("ContainersReady", containersReady, previous, now),
    condition("Ready", readyVerdict(pod, containersReady), previous, now),
  ];
  return {
    phase,
    conditions,
    startTime: snapshot.startTime,
    hostIP: nodeAddress,
    hostIPs: [{ ip: nodeAddress }],
    ...(podAddress !== undefined && { podIP: podAddress, podIPs: [{ ip: podAddress }] }),
    ...(initContainers.length > 0 && { initContainerStatuses: initContainers }),
    containerStatuses: containers,
    reason: snapshot.problem?.reason ?? null,
    message: snapshot.problem?.message ?? null,
  };
}

/** The rules of https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase */
export function podPhase({ pod, initContainers, containers }: PodSnapshot): string {
  const policy = pod.spec?.restartPolicy ?? "Always";
  const failedInit = initContainers.some(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  if (failedInit && policy === "Never") return "Failed";
  if (initContainers.some((status) => !initDone(pod, status))) return "Pending";
  if (containers.some(({ state, lastState }) => state?.waiting && !lastState?.terminated)) return "Pending";
  const ended = containers.filter(({ state }) => state?.terminated);
  if (ended.length < containers.length || policy === "Always") return "Running";
  if (ended.every(({ state }) => state?.terminated?.exitCode === 0)) return "Succeeded";
  return policy === "Never" ? "Failed" : "Running";
}

export function isSidecar(pod: V1Pod, name: string): boolean {
  return pod.spec?.initContainers?.find((container) => container.name === name)?.restartPolicy === "Always";
}

function initDone(pod: V1Pod, status: V1ContainerStatus): boolean {
  return isSidecar(pod, status.name) ? status.started === true : status.state?.terminated?.exitCode === 0;
}

/** Whether a condition holds; reason and message say why not. */
type Verdict = [holds: boolean, reason?: string, message?: string];

function readyVerdict(pod: V1Pod, containersReady: Verdict): Verdict {
  if (!containersReady[0]) return containersReady;
  const closed = (pod.spec?.readinessGates ?? [])
    .map(({ conditionType }) => conditionType)
    .filter((type) => !pod.status?.conditions?.some((one) => one.type === type && one.status === "True"));
  return [closed.length === 0, "ReadinessGatesNotReady", `readiness gates not open: [${closed.join(" ")}]`];
}

function condition(
  type: string,
  [holds, reason, message]: Verdict,
  previous: readonly Condition[],
  now: Date,
): Condition {
  const status = holds ? "True" : "False";
  const before = previous.find((one) => one.type === type);
  const lastTransitionTime =
    before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : now;
  return {
    type,
    status,
    lastTransitionTime,
    reason: holds ? null : (reason ?? null),
    message: holds ? null : (message ?? null),
  };
}

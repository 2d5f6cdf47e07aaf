import { arch, release } from "node:os";
import {
  ApiException,
  CoordinationV1Api,
  CoreV1Api,
  PatchStrategy,
  setHeaderOptions,
  type V1Node,
  V1MicroTime,
} from "@kubernetes/client-node";
import { nodeCapacity } from "./fields";
import type { KubeletOptions } from "./types";
import { errorText } from "./watch";

const leaseNamespace = "kube-node-lease";
const renewMilliseconds = 10_000;

/** Registers the Node as ready and keeps its Lease; `stop` ends the renewals and leaves the objects. */
export async function registerNode(options: KubeletOptions): Promise<{ stop(): void }> {
  const core = options.kubeConfig.makeApiClient(CoreV1Api);
  const name = options.nodeName;
  const node = nodeObject(name, options.nodeAddress);
  await core.createNode({ body: node }).catch((error: unknown) => {
    if (!hasCode(error, 409)) throw error;
  });
  const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
  await core.patchNodeStatus({ name, body: { status: node.status } }, merge);
  // The API server gives every new Node the taint not-ready, and nobody here would take it away.
  await core.patchNode({ name, body: { spec: { taints: null } } }, merge);

  const renew = async (): Promise<void> => {
    try {
      await renewLease(options);
    } catch (error) {
      options.log(`could not renew the Lease of ${name}: ${errorText(error)}`);
    }
  };
  await renew();
  const timer = setInterval(() => void renew(), renewMilliseconds);
  return { stop: () => clearInterval(timer) };
}

async function renewLease({ kubeConfig, nodeName: name }: KubeletOptions): Promise<void> {
  const leases = kubeConfig.makeApiClient(CoordinationV1Api);
  const renewTime = new V1MicroTime(Date.now());
  const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime };
  try {
    await leases.patchNamespacedLease(
      { name, namespace: leaseNamespace, body: { spec: { ...spec, renewTime: renewTime.toISOString() } } },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
  } catch (error) {
    if (!hasCode(error, 404)) throw error;
    await leases.createNamespacedLease({ namespace: leaseNamespace, body: { metadata: { name }, spec } });
  }
}

function nodeObject(name: string, address: string): V1Node {
  const now = new Date();
  const architecture = arch() === "x64" ? "amd64" : arch();
  const condition = (type: string, status: string, reason: string) => ({
    type,
    status,
    reason,
    message: "reported by the sandbox's stand-in for the kubelet",
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  return {
    metadata: {
      name,
      labels: {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "topology.kubernetes.io/zone": "sandbox",
        "topology.kubernetes.io/region": "sandbox",
      },
    },
    spec: {},
    status: {
      capacity: { ...nodeCapacity },
      allocatable: { ...nodeCapacity },
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address: name },
      ],
      conditions: [
        condition("Ready", "True", "KubeletReady"),
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
      ],
      nodeInfo: {
        architecture,
        bootID: "",
        containerRuntimeVersion: "bubblewrap://0",
        kernelVersion: release(),
        kubeProxyVersion: "",
        kubeletVersion: "v0.0.0-sandbox",
        machineID: "",
        operatingSystem: "linux",
        osImage: "vpsight sandbox",
        systemUUID: "",
      },
    },
  };
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof ApiException && error.code === code;
}

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CoreV1Api, type V1Pod } from "@kubernetes/client-node";
import type { ObjectSource } from "./environment";
import { registerNode } from "./node";
import { PodApi } from "./podApi";
import { AddressPool } from "./podNetwork";
import { PodWorker } from "./podWorker";
import { partPath } from "../parts/find";
import type { Kubelet, KubeletOptions } from "./types";
import { watchObjects } from "./watch";

/** What containers get on `stop`, preStop hooks included, whatever their Pods' grace periods say. */
const stopGraceSeconds = 3;
const tokenCheckMilliseconds = 30_000;

/**
 * Registers the Node, then runs the Pods bound to it until `stop`. It has to run inside the sandbox's namespaces: the
 * bridge must be there, and /run must be writable and private for `ip netns`.
 * @throws when the API server does not take the Node.
 */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const { kubeConfig, log } = options;
  const core = kubeConfig.makeApiClient(CoreV1Api);
  const api = new PodApi(kubeConfig, options.nodeAddress);
  const programs = options.programs ?? {
    ip: partPath("ip"),
    nsenter: partPath("nsenter"),
    bwrap: partPath("bwrap"),
  };
  const addresses = new AddressPool(options.podNetwork.cidr);
  const logs = join(options.directory, "logs");
  await mkdir(logs, { recursive: true });

  const node = await registerNode(options);
  const workers = new Map<string, PodWorker>();
  /** Pods that ended, until the watch says so too: changes made before may still be on their way. */
  const ended = new Set<string>();
  let stopping = false;
  const inNamespace = (namespace: string | undefined): PodWorker[] =>
    [...workers.values()].filter((worker) => worker.namespace === namespace);

  const configMaps = await watchObjects(kubeConfig, {
    what: "ConfigMaps",
    path: "/api/v1/configmaps",
    list: () => core.listConfigMapForAllNamespaces(),
    onChange: ({ metadata }) => {
      for (const worker of inNamespace(metadata?.namespace))
        worker.objectChanged("ConfigMap", metadata?.name ?? "");
    },
    log,
  });
  const secrets = await watchObjects(kubeConfig, {
    what: "Secrets",
    path: "/api/v1/secrets",
    list: () => core.listSecretForAllNamespaces(),
    onChange: ({ metadata }) => {
      for (const worker of inNamespace(metadata?.namespace))
        worker.objectChanged("Secret", metadata?.name ?? "");
    },
    log,
  });
  const objectsIn = (namespace: string): ObjectSource => ({
    configMap: (name) => configMaps.get(namespace, name),
    secret: (name) => secrets.get(namespace, name),
  });
  const logPath = (namespace: string, pod: string, container: string): string =>
    join(logs, `${namespace}_${pod}_${container}.log`);
  const context = { options, api, programs, addresses, objectsIn, logPath };

  const onPod = (pod: V1Pod, gone: boolean): void => {
    const uid = pod.metadata?.uid ?? "";
    const worker = workers.get(uid);
    // A Pod of the same name replaced it between two lists of the watch.
    for (const other of inNamespace(pod.metadata?.namespace)) {
      if (other.name === pod.metadata?.name && other.uid !== uid) other.end("gone", 0);
    }
    if (gone) {
      ended.delete(uid);
      worker?.end("gone", 0);
    } else if (worker) worker.update(pod);
    else if (!stopping && !ended.has(uid)) startPod(pod, uid);
  };
  const startPod = (pod: V1Pod, uid: string): void => {
    const phase = pod.status?.phase;
    if (phase === "Succeeded" || phase === "Failed") {
      if (pod.metadata?.deletionTimestamp) void api.deletePod(pod);
      return;
    }
    const worker = new PodWorker(pod, context);
    workers.set(uid, worker);
    void worker.done.finally(() => {
      workers.delete(uid);
      if (!worker.isGone) ended.add(uid);
    });
  };

  const fieldSelector = `spec.nodeName=${options.nodeName}`;
  const pods = await watchObjects(kubeConfig, {
    what: "Pods",
    path: "/api/v1/pods",
    fieldSelector,
    list: () => core.listPodForAllNamespaces({ fieldSelector }),
    onChange: onPod,
    log,
  });
  const tokenCheck = setInterval(() => {
    for (const worker of workers.values()) worker.refreshVolumes();
  }, tokenCheckMilliseconds);

  return {
    logPath,
    kill: (namespace, pod) => {
      for (const worker of inNamespace(namespace)) if (worker.name === pod) worker.kill();
    },
    stop: async () => {
      stopping = true;
      clearInterval(tokenCheck);
      node.stop();
      for (const watch of [pods, configMaps, secrets]) watch.stop();
      for (const worker of workers.values()) worker.end("stopped", stopGraceSeconds);
      await Promise.all([...workers.values()].map((worker) => worker.done));
    },
  };
}

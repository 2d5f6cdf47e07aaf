import type { CoreV1Api, CustomObjectsApi, KubeConfig, V1ObjectMeta } from "@kubernetes/client-node";
import type { RetiredObject } from "../configSchema";

/** Which cluster to speak to; both left out means the ambient kubeconfig and its current context. */
export interface ClusterAccess {
  /** Path to a kubeconfig file. */
  kubeconfig?: string | undefined;
  context?: string | undefined;
}

/** What stands in the cluster for one object of the list. */
export type Finding =
  | { state: "gone" }
  | { state: "present"; uid: string }
  /** It stands and must stay, with the reason. */
  | { state: "kept"; uid: string; reason: string };

/** First what receives traffic, then what registers others, then what was registered, then their identity. */
const order: readonly RetiredObject["kind"][] = [
  "ServiceEntry",
  "WorkloadGroup",
  "WorkloadEntry",
  "ServiceAccount",
];

const istio = { group: "networking.istio.io", version: "v1" } as const;
const plurals = {
  ServiceEntry: "serviceentries",
  WorkloadGroup: "workloadgroups",
  WorkloadEntry: "workloadentries",
} as const;

/** The same objects, each once, in the order in which they may be deleted. */
export function inDeletionOrder(objects: readonly RetiredObject[]): RetiredObject[] {
  const unique = new Map(objects.map((object) => [display(object), object]));
  return [...unique.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Looks at the listed objects, says what will become of each, and deletes them by uid. */
export class Retirement {
  constructor(
    private readonly access: ClusterAccess,
    private readonly objects: readonly RetiredObject[],
    private readonly say: (message: string) => void,
  ) {}

  /** Reads only. @throws Error in one sentence when the cluster does not answer. */
  async announce(): Promise<void> {
    const cluster = await Cluster.connect(this.access);
    for (const object of this.objects) {
      const finding = await cluster.find(object, this.objects);
      const id = finding.state === "gone" ? "" : ` (uid ${finding.uid})`;
      const fate = {
        gone: "is already gone",
        present: "WILL BE DELETED",
        kept: `is KEPT: ${finding.state === "kept" ? finding.reason : ""}`,
      }[finding.state];
      this.say(`${display(object)}${id} ${fate}`);
    }
  }

  /** Deletes what `announce` said; what went meanwhile is fine. @throws Error in one sentence. */
  async remove(): Promise<void> {
    const cluster = await Cluster.connect(this.access);
    for (const object of this.objects) {
      // Looked at again, one by one: an earlier deletion may have taken this one along.
      const finding = await cluster.find(object, this.objects);
      if (finding.state !== "present") continue;
      await cluster.delete(object, finding.uid);
      this.say(`${display(object)} (uid ${finding.uid}) deleted`);
    }
  }
}

function display({ kind, namespace, name }: RetiredObject): string {
  return `${kind} ${namespace}/${name}`;
}

/** The kubeconfig that the access means. */
export async function loadKubeConfig(access: ClusterAccess): Promise<KubeConfig> {
  const client = await import("@kubernetes/client-node");
  const config = new client.KubeConfig();
  if (access.kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(access.kubeconfig);
  if (access.context !== undefined) config.setCurrentContext(access.context);
  return config;
}

class Cluster {
  private constructor(
    private readonly server: string,
    private readonly core: CoreV1Api,
    private readonly custom: CustomObjectsApi,
  ) {}

  static async connect(access: ClusterAccess): Promise<Cluster> {
    // Loaded here: its models take longer to import than the rest of this program, and only this step needs them.
    const client = await import("@kubernetes/client-node");
    const config = await loadKubeConfig(access);
    const server = config.getCurrentCluster()?.server ?? "the cluster";
    return new Cluster(
      server,
      config.makeApiClient(client.CoreV1Api),
      config.makeApiClient(client.CustomObjectsApi),
    );
  }

  async find(object: RetiredObject, listed: readonly RetiredObject[]): Promise<Finding> {
    const uid = await this.uid(object);
    if (uid === undefined) return { state: "gone" };
    const reason = await this.reasonToKeep(object, uid, listed);
    return reason === undefined ? { state: "present", uid } : { state: "kept", uid, reason };
  }

  async delete({ kind, namespace, name }: RetiredObject, uid: string): Promise<void> {
    // Only the very object that was announced, not one made meanwhile under its name.
    const body = { preconditions: { uid } };
    await this.orMissing(`delete ${kind} ${namespace}/${name}`, () =>
      kind === "ServiceAccount"
        ? this.core.deleteNamespacedServiceAccount({ namespace, name, body })
        : this.custom.deleteNamespacedCustomObject({
            ...istio,
            plural: plurals[kind],
            namespace,
            name,
            body,
          }),
    );
  }

  private async uid({ kind, namespace, name }: RetiredObject): Promise<string | undefined> {
    const found = await this.orMissing<{ metadata?: V1ObjectMeta }>(
      `read ${kind} ${namespace}/${name}`,
      () =>
        kind === "ServiceAccount"
          ? this.core.readNamespacedServiceAccount({ namespace, name })
          : this.custom.getNamespacedCustomObject({ ...istio, plural: plurals[kind], namespace, name }),
    );
    return found?.metadata?.uid;
  }

  private async reasonToKeep(object: RetiredObject, uid: string, listed: readonly RetiredObject[]) {
    const { kind, namespace, name } = object;
    if (kind === "ServiceAccount") {
      const pods = await this.orMissing(`list pods of ${namespace}`, () =>
        this.core.listNamespacedPod({ namespace }),
      );
      const users = (pods?.items ?? []).filter((pod) => pod.spec?.serviceAccountName === name);
      if (users.length > 0) return `used by ${users.map((pod) => `pod ${pod.metadata?.name}`).join(", ")}`;
    }
    if (kind === "WorkloadGroup") {
      const names = new Set(listed.filter((other) => other.kind === "WorkloadEntry").map(display));
      // Deleting the group would take the entries along that running workloads registered themselves.
      const registered = (await this.ownedEntries(namespace, uid)).filter(
        (entry) => !names.has(display({ kind: "WorkloadEntry", namespace, name: entry })),
      );
      if (registered.length > 0)
        return `it owns WorkloadEntry ${registered.join(", ")}, which is not on the list`;
    }
    return undefined;
  }

  private async ownedEntries(namespace: string, owner: string): Promise<string[]> {
    const list = await this.orMissing<{ items?: { metadata?: V1ObjectMeta }[] }>(
      `list WorkloadEntries of ${namespace}`,
      () => this.custom.listNamespacedCustomObject({ ...istio, plural: plurals.WorkloadEntry, namespace }),
    );
    return (list?.items ?? [])
      .filter((entry) => entry.metadata?.ownerReferences?.some((reference) => reference.uid === owner))
      .flatMap((entry) => entry.metadata?.name ?? []);
  }

  /** Missing (the object, or its whole kind) is an answer; anything else is one clear sentence. */
  private async orMissing<Answer>(task: string, call: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await call();
    } catch (error) {
      const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
      if (code === 404) return undefined;
      if (typeof code === "number") {
        throw new Error(
          `RetiredObjects could not ${task}: the API server answered ${code}. Nothing more was deleted.`,
        );
      }
      throw new Error(
        `RetiredObjects could not ${task}: no answer from ${this.server} (${typeof code === "string" ? code : String(error)}). ` +
          `Check the cluster and the kubeconfig, then run again; what is deleted already is not asked for twice.`,
      );
    }
  }
}

import { ApiServer, UnknownKindError, UnreachableError } from "./api";
import type { ResourceType } from "./objects";
import { describe } from "./outcome";
import type { Progress } from "./progress";
import { defaultNamespace, loadKubeConfig, type Settings } from "./settings";
import { containsUnknown, type Properties } from "./values";

/** How the cluster is reached: its API server, or the reason why there is none. */
type Reach = { readonly api: ApiServer } | { readonly unreachable: string };

/** What the operations work with, once Configure has run. */
export class Connection {
  private constructor(
    readonly settings: Settings,
    /** For objects that name no namespace. */
    readonly namespace: string,
    private readonly reach: Reach,
    readonly progress: Progress,
    readonly canceled: AbortSignal,
  ) {}

  /**
   * Loads the kubeconfig and asks the API server for its version. A cluster that cannot be reached is no error yet:
   * a preview goes on without it, as the official provider's does; whatever needs it fails with the reason.
   */
  static async open(settings: Settings, progress: Progress, canceled: AbortSignal): Promise<Connection> {
    let namespace = defaultNamespace(settings, undefined);
    const opened = (reach: Reach) => new Connection(settings, namespace, reach, progress, canceled);
    let api: ApiServer | undefined;
    try {
      const config = await loadKubeConfig(settings);
      namespace = defaultNamespace(settings, config);
      api = new ApiServer(config, canceled);
      await api.request("GET", "/version");
      return opened({ api });
    } catch (error) {
      // An answer, even a refusal, is an answer: the operations get to hear the same, and say what they were about.
      if (api !== undefined && !(error instanceof UnreachableError)) return opened({ api });
      return opened({ unreachable: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Why the cluster cannot be used; `undefined` while it can. */
  get unreachable(): string | undefined {
    return "unreachable" in this.reach ? this.reach.unreachable : undefined;
  }

  /**
   * @param options.orDelete say how to get rid of a resource whose cluster is gone.
   * @throws Error with the address and the reason when the cluster cannot be reached.
   */
  requireApi(options: { orDelete?: boolean } = {}): ApiServer {
    if ("api" in this.reach) return this.reach.api;
    const hint = options.orDelete === true ? deleteHint : "";
    throw new Error(`configured Kubernetes cluster is unreachable: ${this.reach.unreachable}${hint}`);
  }

  /** Whether a resource of an unreachable cluster is to be forgotten; says so when it is. */
  dropUnreachable(urn: string): boolean {
    if (this.unreachable === undefined || !this.settings.deleteUnreachable) return false;
    this.progress.warn(
      urn,
      `configured Kubernetes cluster is unreachable: ${this.unreachable}; dropped from the state`,
    );
    return true;
  }

  /** Whether a dry run can be made: all is known, the kind is there, and so is the cluster. */
  async canPreview(urn: string, object: Properties, type: ResourceType): Promise<boolean> {
    if (this.unreachable !== undefined) {
      this.progress.warn(urn, `configured Kubernetes cluster is unreachable: ${this.unreachable}`);
      return false;
    }
    return !containsUnknown(object) && (await this.scope(type)) !== undefined;
  }

  /** Whether the kind's objects live in a namespace. */
  async isNamespaced(type: ResourceType): Promise<boolean> {
    if (this.unreachable !== undefined) return !clusterScoped.has(type.kind);
    // Of a kind that is not there yet, too, this is the better guess; its path will be right either way.
    return (await this.scope(type)) !== "cluster";
  }

  private async scope(type: ResourceType): Promise<"namespace" | "cluster" | undefined> {
    try {
      const { namespaced } = await this.requireApi().kindInfo(type.apiVersion, type.kind);
      return namespaced ? "namespace" : "cluster";
    } catch (error) {
      // The definition may come with this very update.
      if (error instanceof UnknownKindError) return undefined;
      throw describe(error, "");
    }
  }
}

const deleteHint =
  ". If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the " +
  'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"';

/** Cluster-scoped kinds, for when no API server can be asked. */
const clusterScoped = new Set([
  "APIService",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "IngressClass",
  "MutatingWebhookConfiguration",
  "Namespace",
  "Node",
  "PersistentVolume",
  "PriorityClass",
  "StorageClass",
  "ValidatingWebhookConfiguration",
]);

import { AsyncResource } from "node:async_hooks";
import { isDeepStrictEqual } from "node:util";
import type { KubernetesObject, KubernetesObjectApi } from "@kubernetes/client-node";
import * as pulumi from "@pulumi/pulumi";
import { apiVersions } from "../versions";
import { meshObjectLabels, type MeshObject } from "./meshObjects";
import { loadKubeConfig, type ClusterAccess } from "./retirement";

const kinds = ["WorkloadGroup", "WorkloadEntry"] as const;
const fieldManager = "vpsight-mesh-topology";
/** Requests to the API server at one time. */
const parallel = 8;

/** What is to stand in the namespace, and where that is. */
export interface MeshObjectsSettings {
  cluster: ClusterAccess;
  namespace: string;
  /** All there shall be; others of ours go. */
  objects: readonly MeshObject[];
}

/** What has to be done to get there. */
export interface MeshObjectsPlan {
  apply: readonly MeshObject[];
  remove: readonly KubernetesObject[];
}

/**
 * The hooks of the list's Stash: the preview counts what will change, `up` changes it before the list is recorded, so that
 * a failure is tried again by the next `up`. A list that is empty from the start asks the cluster nothing.
 */
export function meshObjectsHooks(
  name: string,
  resource: pulumi.Resource,
  settings: MeshObjectsSettings,
): NonNullable<pulumi.CustomResourceOptions["hooks"]> {
  // Not awaited: inside a hook, waiting for the engine's log deadlocks it.
  const say = (message: string) => void pulumi.log.info(message, resource);
  const hook = (suffix: string, run: () => Promise<void>, onDryRun: boolean) =>
    new pulumi.ResourceHook(`${name}-${suffix}`, AsyncResource.bind(run), { onDryRun });
  // Two hooks, since `isDryRun()` is false inside one under the Automation API.
  const both = [
    hook("announce", () => synchronise(settings, say, "announce"), true),
    hook("apply", () => synchronise(settings, say, "apply"), false),
  ];
  return { beforeUpdate: both, ...(settings.objects.length === 0 ? {} : { beforeCreate: both }) };
}

/** Looks, says what is to be done, and does it unless it is only announced. @throws Error for people. */
export async function synchronise(
  settings: MeshObjectsSettings,
  say: (message: string) => void,
  mode: "announce" | "apply",
): Promise<void> {
  // Loaded here: its models take longer to import than the rest of this program.
  const client = await import("@kubernetes/client-node");
  const api = client.KubernetesObjectApi.makeApiClient(await loadKubeConfig(settings.cluster));
  const plan = planMeshObjects(settings, await existingObjects(api, settings.namespace));
  const done = mode === "apply" ? "" : " WILL BE";
  const summary = `Kiali's objects in ${settings.namespace}: ${plan.apply.length}${done} applied, ${plan.remove.length}${done} removed`;
  if (mode === "announce") return say(summary);
  await each(plan.apply, (object) =>
    api.patch(object, undefined, undefined, fieldManager, true, client.PatchStrategy.ServerSideApply),
  );
  await each(plan.remove, (object) => orMissing(() => api.delete(object)));
  say(summary);
}

/** @throws Error naming every object that somebody else made under a name that is needed. */
export function planMeshObjects(
  { namespace, objects }: Pick<MeshObjectsSettings, "namespace" | "objects">,
  existing: readonly KubernetesObject[],
): MeshObjectsPlan {
  const standing = new Map(existing.map((object) => [key(object), object]));
  const wanted = new Set(objects.map(key));
  const foreign = objects.filter((object) => {
    const found = standing.get(key(object));
    return found !== undefined && !isOurs(found);
  });
  if (foreign.length > 0) {
    throw new Error(
      `MeshTopology: ${foreign.map(key).join(", ")} in ${namespace} were made by somebody else and are not touched. ` +
        `Remove them, or set kiali.namespace to an empty namespace.`,
    );
  }
  return {
    apply: objects.filter((object) => !isApplied(object, standing.get(key(object)))),
    remove: existing.filter((object) => isOurs(object) && !wanted.has(key(object))),
  };
}

const key = ({ kind, metadata }: KubernetesObject) => `${kind ?? ""} ${metadata?.name ?? ""}`;

function isOurs({ metadata }: KubernetesObject): boolean {
  return Object.entries(meshObjectLabels).every(([name, value]) => metadata?.labels?.[name] === value);
}

function isApplied(wanted: MeshObject, found: (KubernetesObject & { spec?: unknown }) | undefined): boolean {
  if (found === undefined) return false;
  const labels = Object.entries(wanted.metadata.labels);
  return (
    labels.every(([name, value]) => found.metadata?.labels?.[name] === value) &&
    isDeepStrictEqual(found.spec, wanted.spec)
  );
}

async function existingObjects(api: KubernetesObjectApi, namespace: string): Promise<KubernetesObject[]> {
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const list = await orMissing(() => api.list(apiVersions.workload, kind, namespace));
      // The items of a list do not say what they are.
      return (list?.items ?? []).map((item) => ({ ...item, apiVersion: apiVersions.workload, kind }));
    }),
  );
  return lists.flat();
}

/** Missing (the object, the namespace, or the whole kind) is an answer. */
async function orMissing<Answer>(call: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await call();
  } catch (error) {
    if (typeof error === "object" && error !== null && "code" in error && error.code === 404)
      return undefined;
    throw error;
  }
}

async function each<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

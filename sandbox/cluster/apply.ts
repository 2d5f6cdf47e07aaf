import { setTimeout as sleep } from "node:timers/promises";
import {
  ApiException,
  KubernetesObjectApi,
  PatchStrategy,
  loadAllYaml,
  type KubeConfig,
  type KubernetesObject,
} from "@kubernetes/client-node";
import { SandboxError } from "../error";

/** A Kubernetes object of any kind, as it is sent. */
export type ClusterObject = KubernetesObject & { readonly [field: string]: unknown };

/** The objects of a YAML text, in order. */
export function parseObjects(yaml: string): ClusterObject[] {
  // An empty document (a comment before the first `---`) parses to null or undefined.
  return (loadAllYaml(yaml) as unknown[]).filter(isClusterObject);
}

/** A typed object as one of any kind. */
export function toClusterObject(object: KubernetesObject): ClusterObject {
  return { ...object };
}

function isClusterObject(value: unknown): value is ClusterObject {
  return typeof value === "object" && value !== null && "kind" in value && "apiVersion" in value;
}

/**
 * Applies objects by server-side apply, Namespaces first, the others at once.
 *
 * @param fieldManager who owns the fields; others' fields stay untouched, conflicts are taken over.
 * @throws {SandboxError} naming each object that was refused and why.
 */
export async function applyObjects(
  kubeConfig: KubeConfig,
  objects: readonly ClusterObject[],
  fieldManager: string,
): Promise<void> {
  const api = KubernetesObjectApi.makeApiClient(kubeConfig);
  const namespaces = objects.filter(({ kind }) => kind === "Namespace");
  const others = objects.filter(({ kind }) => kind !== "Namespace");
  for (const group of [namespaces, others]) {
    const results = await Promise.all(group.map((object) => applyObject(api, object, fieldManager)));
    const problems = results.filter((problem) => problem !== undefined);
    if (problems.length > 0) throw new SandboxError(problems.join("\n"));
  }
}

/** `Deployment airport-prod/airport-xboard`. */
export function describeObject({ kind, metadata }: KubernetesObject): string {
  const namespace = metadata?.namespace === undefined ? "" : `${metadata.namespace}/`;
  return `${kind ?? "object"} ${namespace}${metadata?.name ?? ""}`;
}

/**
 * Asks every 200 ms until the answer is defined.
 *
 * @param what what is waited for, for the message.
 * @param explain adds to the message what was found instead. Default: nothing.
 * @throws {SandboxError} after `timeout` milliseconds.
 */
export async function waitFor<T>(
  what: string,
  timeout: number,
  ask: () => Promise<T | undefined>,
  explain: () => Promise<string> = () => Promise.resolve(""),
): Promise<T> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) {
      const found = await explain();
      const detail = found === "" ? "" : `: ${found}`;
      throw new SandboxError(`${what} did not happen within ${Math.round(timeout / 1000)} s${detail}`);
    }
    await sleep(200);
  }
}

async function applyObject(
  api: KubernetesObjectApi,
  object: ClusterObject,
  fieldManager: string,
): Promise<string | undefined> {
  try {
    await api.patch(object, undefined, undefined, fieldManager, true, PatchStrategy.ServerSideApply);
    return undefined;
  } catch (error) {
    return `${describeObject(object)} was refused: ${apiErrorText(error)}`;
  }
}

/** The API server's own words for a failed request, or the failure of the connection. */
export function apiErrorText(error: unknown): string {
  if (error instanceof ApiException) {
    const body: unknown = typeof error.body === "string" ? tryParse(error.body) : error.body;
    if (typeof body === "object" && body !== null && "message" in body) return String(body.message);
    return `status ${error.code}`;
  }
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

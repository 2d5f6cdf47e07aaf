import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, type ApiServer, type Place } from "./api";
import type { Progress } from "./progress";
import { listAt, numberAt, propertiesAt, scalarText, textAt, type Properties } from "./values";

/** The object is there, but not ready; `reasons` say what was seen last. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";

  constructor(
    message: string,
    readonly reasons: readonly string[],
  ) {
    super(message);
  }
}

/** What a wait needs to know beside the object. */
export interface WaitOptions {
  readonly urn: string;
  readonly progress: Progress;
  readonly canceled: AbortSignal;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Milliseconds; the official provider's defaults for Deployments and Services, and for deletions. */
export const defaultTimeouts = { ready: 600_000, deletion: 300_000 } as const;

const pollInterval = 500;

/**
 * Waits as the official provider does: for a Deployment's rollout, and for a Service's first endpoint (and its
 * load balancer's address). All other kinds are ready as soon as they are stored.
 *
 * @throws NotReadyError after the time-out, with what stands in the way (a Deployment: its Pods' waiting reasons).
 */
export async function waitUntilReady(api: ApiServer, place: Place, options: WaitOptions): Promise<void> {
  const kind = `${place.apiVersion}/${place.kind}`;
  if (kind === "apps/v1/Deployment") {
    await poll(api, place, options, (object) => Promise.resolve(rolloutStep(object)), explainDeployment);
  } else if (kind === "v1/Service") {
    await poll(
      api,
      place,
      options,
      (object) => serviceStep(api, place, object),
      () => Promise.resolve([]),
    );
  }
}

/** Waits until an object with this uid is gone. @throws NotReadyError after the time-out */
export async function waitUntilGone(
  api: ApiServer,
  place: Place,
  uid: string,
  options: WaitOptions,
): Promise<void> {
  const deadline = Date.now() + options.timeout;
  const path = await api.path(place, place.name);
  for (;;) {
    const object = await readOrUndefined(api, path);
    if (object === undefined || textAt(propertiesAt(object, "metadata"), "uid") !== uid) break;
    if (Date.now() >= deadline) {
      const finalizers = propertiesAt(object, "metadata")["finalizers"];
      throw new NotReadyError(
        `Timed out waiting for deletion of ${place.apiVersion}/${place.kind} ${JSON.stringify(place.name)}`,
        finalizers === undefined ? [] : [`its finalizers are still there: ${JSON.stringify(finalizers)}`],
      );
    }
    options.progress.status(options.urn, "Waiting for deletion");
    await sleep(pollInterval, undefined, { signal: options.canceled });
  }
  options.progress.status(options.urn, "");
}

/** GET, with `undefined` for an object that is not there. */
export async function readOrUndefined(api: ApiServer, path: string): Promise<Properties | undefined> {
  try {
    return await api.request("GET", path);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** What an object still waits for; `undefined` when it is ready. */
type Step = string | undefined;

async function poll(
  api: ApiServer,
  place: Place,
  options: WaitOptions,
  step: (object: Properties) => Promise<Step>,
  explain: (api: ApiServer, place: Place, object: Properties) => Promise<string[]>,
): Promise<void> {
  const deadline = Date.now() + options.timeout;
  const path = await api.path(place, place.name);
  for (;;) {
    const object = await api.request("GET", path);
    const waiting = await step(object);
    if (waiting === undefined) break;
    options.progress.status(options.urn, waiting);
    if (Date.now() >= deadline) {
      throw new NotReadyError(`${JSON.stringify(place.name)} timed out waiting to be Ready`, [
        waiting,
        ...(await explain(api, place, object)),
      ]);
    }
    await sleep(Math.min(pollInterval, Math.max(deadline - Date.now(), 1)), undefined, {
      signal: options.canceled,
    });
  }
  options.progress.status(options.urn, "");
}

/** As `kubectl rollout status` judges: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment */
export function rolloutStep(deployment: Properties): Step {
  const status = propertiesAt(deployment, "status");
  const wanted = numberAt(propertiesAt(deployment, "spec"), "replicas", 1);
  if (numberAt(status, "observedGeneration") < numberAt(propertiesAt(deployment, "metadata"), "generation")) {
    return "Waiting for the rollout to be observed";
  }
  const updated = numberAt(status, "updatedReplicas");
  const available = numberAt(status, "availableReplicas");
  if (updated < wanted)
    return `Waiting for app ReplicaSet to be available (${updated}/${wanted} Pods updated)`;
  if (numberAt(status, "replicas") > updated) {
    return `Waiting for ${numberAt(status, "replicas") - updated} old Pods to go`;
  }
  if (available < updated) {
    return `Waiting for app ReplicaSet to be available (${available}/${wanted} Pods available)`;
  }
  return undefined;
}

async function explainDeployment(api: ApiServer, place: Place, deployment: Properties): Promise<string[]> {
  const reasons = listAt(propertiesAt(deployment, "status"), "conditions")
    .filter(
      (condition) =>
        textAt(condition, "status") === (textAt(condition, "type") === "ReplicaFailure" ? "True" : "False"),
    )
    .map((condition) => `[${textAt(condition, "reason")}] ${textAt(condition, "message")}`);
  const labels = propertiesAt(propertiesAt(propertiesAt(deployment, "spec"), "selector"), "matchLabels");
  const selector = Object.entries(labels)
    .map(([key, value]) => `${key}=${scalarText(value)}`)
    .join(",");
  const path = await api.path({ apiVersion: "v1", kind: "Pod", namespace: place.namespace });
  const pods = await api.request("GET", path, { query: { labelSelector: selector } });
  return [...reasons, ...listAt(pods, "items").flatMap(podReasons)];
}

/** Why a Pod is not ready, a line a cause; none when it is. */
export function podReasons(pod: Properties): string[] {
  const name = textAt(propertiesAt(pod, "metadata"), "name");
  const status = propertiesAt(pod, "status");
  const containers = [...listAt(status, "initContainerStatuses"), ...listAt(status, "containerStatuses")];
  const waiting = containers.flatMap((container) => {
    const state = propertiesAt(container, "state");
    const cause = { ...propertiesAt(state, "terminated"), ...propertiesAt(state, "waiting") };
    if (container["ready"] === true || textAt(cause, "reason") === "Completed") return [];
    const text = [textAt(cause, "reason") && `[${textAt(cause, "reason")}]`, textAt(cause, "message")];
    const why = text.filter((part) => part !== "").join(" ") || "not ready";
    return [`Pod ${name}: container ${textAt(container, "name")}: ${why}`];
  });
  if (waiting.length > 0) return waiting;
  return listAt(status, "conditions")
    .filter((condition) => textAt(condition, "status") === "False" && textAt(condition, "message") !== "")
    .map((condition) => `Pod ${name}: [${textAt(condition, "reason")}] ${textAt(condition, "message")}`);
}

async function serviceStep(api: ApiServer, place: Place, service: Properties): Promise<Step> {
  const spec = propertiesAt(service, "spec");
  const type = textAt(spec, "type");
  if (type === "ExternalName") return undefined;
  const hasSelector = Object.keys(propertiesAt(spec, "selector")).length > 0;
  if (hasSelector && textAt(spec, "clusterIP") !== "None" && !(await hasEndpoint(api, place))) {
    return "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match labels on any Pods";
  }
  const ingress = listAt(propertiesAt(propertiesAt(service, "status"), "loadBalancer"), "ingress");
  if (type === "LoadBalancer" && ingress.length === 0) {
    return "Service was not allocated an IP address; does your cloud provider support this?";
  }
  return undefined;
}

async function hasEndpoint(api: ApiServer, place: Place): Promise<boolean> {
  const path = await api.path({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    namespace: place.namespace,
  });
  const slices = await api.request("GET", path, {
    query: { labelSelector: `kubernetes.io/service-name=${place.name}` },
  });
  const endpoints = listAt(slices, "items").flatMap((slice) => listAt(slice, "endpoints"));
  return endpoints.some((endpoint) => propertiesAt(endpoint, "conditions")["ready"] !== false);
}

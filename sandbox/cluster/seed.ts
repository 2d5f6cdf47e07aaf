import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppsV1Api, CustomObjectsApi, type KubeConfig } from "@kubernetes/client-node";
import { CertificateAuthority } from "../controlPlane/certificates";
import { applyObjects, parseObjects, toClusterObject, waitFor, type ClusterObject } from "./apply";
import { gatewayDeployment, ingressGateway, type GatewayOptions } from "./gateway";
import { prometheusVersion } from "./images";
import { istioStatsStandIn } from "./istioStats";
import { panel, panelDeployment, panelTlsSecret, panelTokenSecret, type PanelOptions } from "./panel";
import { readyPods, workloadProblems } from "./workload";

/** What the cluster is to look like before vpsight comes. */
export interface SeedOptions {
  /** An administrator's. */
  readonly kubeConfig: KubeConfig;
  /** For the panel's certificate authority; made when missing. */
  readonly directory: string;
  readonly panel: PanelOptions;
  readonly gateway?: GatewayOptions;
  /** Milliseconds until everything runs. Default 90,000. */
  readonly timeout?: number;
  /** Told what became ready. Default: nobody. */
  readonly progress?: (step: { part: string; state: "starting" | "ready"; detail: string }) => void;
}

/** The cluster as the fleet and the tests use it. */
export interface SeededCluster {
  /** PEM of the authority that the panel's certificate comes from: what clients trust. */
  readonly panelAuthority: string;
}

/** Owner of the plain objects' fields. */
const seedManager = "cluster-seed";
/** Owner of the gateway's, which a chart installed. */
const helmManager = "helm";

/**
 * Applies gateway, panel and Prometheus, and waits until they run and are ready.
 *
 * @throws {SandboxError} naming what was refused, or what did not become ready and why.
 */
export async function seedCluster(options: SeedOptions): Promise<SeededCluster> {
  const authority = await CertificateAuthority.create(options.directory, "vpsight sandbox panel");
  const certificate = await authority.issue("panel", {
    commonName: panel.host,
    alternativeNames: [panel.host],
  });
  const [gateway, istio, application, monitoring, tlsSecret] = await Promise.all([
    readObjects("gateway.yaml"),
    readObjects("istio.yaml"),
    readObjects("panel.yaml"),
    readObjects("monitoring.yaml"),
    panelTlsSecret(certificate),
  ]);
  const { kubeConfig } = options;
  // istiod makes the namespace's root certificate on its own; the gateway's Pod waits for it.
  await applyObjects(
    kubeConfig,
    [...gateway, ...istio, istioStatsStandIn(), toClusterObject(gatewayDeployment(options.gateway))],
    helmManager,
  );
  await applyObjects(
    kubeConfig,
    [
      ...application,
      ...monitoring.map(withPrometheusVersion),
      ...[tlsSecret, panelTokenSecret(options.panel), panelDeployment(options.panel)].map(toClusterObject),
    ],
    seedManager,
  );
  await waitUntilReady(options);
  return { panelAuthority: await authority.certificateText() };
}

/** Applies the abandoned attempt's objects, and others of the same kinds that have to survive its removal. */
export async function seedLegacy(kubeConfig: KubeConfig): Promise<void> {
  await applyObjects(kubeConfig, await readObjects("legacy.yaml"), "kubectl");
}

/** The objects of `legacy.yaml`, for tests that look for them. */
export async function legacyObjects(): Promise<ClusterObject[]> {
  return readObjects("legacy.yaml");
}

/**
 * The address of a Pod that is ready and stays.
 *
 * @param labels all of them must match.
 * @returns undefined when there is none at the moment.
 */
export async function readyPodAddress(
  kubeConfig: KubeConfig,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const [ready] = await readyPods(kubeConfig, namespace, labels);
  return ready?.status?.podIP;
}

/** Labels of the Prometheus Pod in the namespace `monitoring`; it listens on 9090. */
export const prometheusLabels = { "app.kubernetes.io/name": "prometheus", prometheus: "sandbox" } as const;

async function readObjects(name: string): Promise<ClusterObject[]> {
  return parseObjects(await readFile(join(__dirname, name), "utf8"));
}

function withPrometheusVersion(object: ClusterObject): ClusterObject {
  if (object.kind !== "Prometheus" || typeof object["spec"] !== "object") return object;
  return { ...object, spec: { ...object["spec"], version: prometheusVersion() } };
}

async function waitUntilReady(options: SeedOptions): Promise<void> {
  const { kubeConfig, timeout = 90_000 } = options;
  const apps = kubeConfig.makeApiClient(AppsV1Api);
  const custom = kubeConfig.makeApiClient(CustomObjectsApi);
  const deployment = async (namespace: string, name: string): Promise<true | undefined> => {
    const { metadata, spec, status } = await apps.readNamespacedDeployment({ namespace, name });
    const current = status?.observedGeneration === metadata?.generation;
    return current && status?.availableReplicas === spec?.replicas ? true : undefined;
  };
  const prometheus = async (): Promise<true | undefined> => {
    const namespace = "monitoring";
    const object: unknown = await custom.getNamespacedCustomObject({
      ...{ group: "monitoring.coreos.com", version: "v1", plural: "prometheuses" },
      ...{ namespace, name: "sandbox" },
    });
    return availableReplicas(object) === 1 && (await reloaderIsThrough(kubeConfig)) ? true : undefined;
  };
  const wait = async (
    part: string,
    namespace: string,
    ask: () => Promise<true | undefined>,
  ): Promise<void> => {
    const started = performance.now();
    options.progress?.({ part, state: "starting", detail: "" });
    await waitFor(`${part} ready`, timeout, ask, () => workloadProblems(kubeConfig, namespace));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    options.progress?.({ part, state: "ready", detail: `in ${seconds} s` });
  };
  await Promise.all([
    wait("ingress gateway", ingressGateway.namespace, () =>
      deployment(ingressGateway.namespace, ingressGateway.name),
    ),
    wait("Xboard stand-in", panel.namespace, () => deployment(panel.namespace, panel.name)),
    wait("Prometheus", "monitoring", prometheus),
  ]);
}

/**
 * Whether Prometheus' config reloader has handed over its files once. It reads them when it starts, tries every five
 * seconds until Prometheus is up to take them, and only then looks for changes: one that comes in between is
 * not seen for minutes.
 */
async function reloaderIsThrough(kubeConfig: KubeConfig): Promise<boolean> {
  const address = await readyPodAddress(kubeConfig, "monitoring", prometheusLabels);
  if (address === undefined) return false;
  const metrics = await fetch(`http://${address}:8080/metrics`).then(
    (response) => response.text(),
    () => "",
  );
  return /^reloader_last_reload_successful 1$/m.test(metrics);
}

function availableReplicas(object: unknown): number | undefined {
  if (typeof object !== "object" || object === null || !("status" in object)) return undefined;
  const { status } = object;
  if (typeof status !== "object" || status === null || !("availableReplicas" in status)) return undefined;
  return typeof status.availableReplicas === "number" ? status.availableReplicas : undefined;
}

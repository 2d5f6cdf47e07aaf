import { AppsV1Api, CoreV1Api, type KubeConfig } from "@kubernetes/client-node";
import { SandboxError } from "../error";
import type { PrometheusClient } from "../ledger";
import { buildGraph, type Graph, type GraphOptions, type NamespaceAnswers } from "./graph";
import { latencyQueries, trafficQueries } from "./queries";

/** What a person chooses above Kiali's graph. */
export interface GraphChoice extends Pick<GraphOptions, "type" | "serviceNodes"> {
  readonly namespaces: readonly string[];
  readonly windowSeconds: number;
  /** Of the response times, 0 to 1. */
  readonly quantile: number;
}

/** Asks Prometheus what Kiali asks, as of `atSeconds` (default now), one namespace after the other. */
export async function askPrometheus(
  prometheus: PrometheusClient,
  { namespaces, windowSeconds, quantile }: GraphChoice,
  atSeconds?: number,
): Promise<NamespaceAnswers[]> {
  const all = (queries: string[]) => Promise.all(queries.map((query) => prometheus.query(query, atSeconds)));
  const answers: NamespaceAnswers[] = [];
  for (const namespace of namespaces) {
    const traffic = await all(trafficQueries(namespace, windowSeconds));
    const latency = await all(latencyQueries(namespace, windowSeconds, quantile));
    answers.push({ namespace, traffic, latency });
  }
  return answers;
}

/** The namespaces that Kiali sees: those of its home cluster, whose name is istiod's CLUSTER_ID. */
export async function accessibleNamespaces(kubeConfig: KubeConfig): Promise<Set<string>> {
  const { items: istiods } = await kubeConfig
    .makeApiClient(AppsV1Api)
    .listDeploymentForAllNamespaces({ labelSelector: "app=istiod" });
  const variables = istiods[0]?.spec?.template.spec?.containers[0]?.env ?? [];
  const cluster = variables.find(({ name }) => name === "CLUSTER_ID")?.value;
  if (cluster === undefined)
    throw new SandboxError(
      "No Deployment with the label app=istiod and a CLUSTER_ID: Kiali finds no cluster.",
    );
  const { items } = await kubeConfig.makeApiClient(CoreV1Api).listNamespace();
  return new Set(items.map(({ metadata }) => `${cluster}:${metadata?.name ?? ""}`));
}

/** What Kiali would draw. */
export async function readGraph(
  prometheus: PrometheusClient,
  kubeConfig: KubeConfig,
  choice: GraphChoice,
  atSeconds?: number,
): Promise<Graph> {
  const answers = await askPrometheus(prometheus, choice, atSeconds);
  return buildGraph(answers, { ...choice, accessible: await accessibleNamespaces(kubeConfig) });
}

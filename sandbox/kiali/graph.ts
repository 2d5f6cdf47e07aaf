import type { Sample } from "../ledger";
import { requiredLabels } from "./queries";

/**
 * Kiali's rules for turning answers of Prometheus into a graph, written anew from its source: which series are left
 * out, what a node is, when two series are one edge. It is no Kiali: health, boxes, badges and the drawing itself are
 * not here, nor gRPC, TCP, ambient and several clusters.
 * https://github.com/kiali/kiali/tree/master/graph/telemetry/istio
 */

/** `versionedApp` is Kiali's default: a node per workload, boxed by app; `app` has one node for all of an app. */
export type GraphType = "versionedApp" | "app";

/** What Kiali got for one selected namespace, in the order of `queries.ts`. */
export interface NamespaceAnswers {
  readonly namespace: string;
  readonly traffic: readonly (readonly Sample[])[];
  readonly latency: readonly (readonly Sample[])[];
}

export interface GraphOptions {
  readonly type: GraphType;
  /** Kiali's Display option "Service Nodes": on unless somebody switches it off. */
  readonly serviceNodes: boolean;
  /** `cluster:namespace` of each namespace that Kiali may see. */
  readonly accessible: ReadonlySet<string>;
}

export interface GraphNode {
  readonly id: string;
  readonly kind: "workload" | "app" | "service" | "unknown";
  readonly cluster: string;
  readonly namespace: string;
  /** What is written at the node. */
  readonly name: string;
  /** The app whose box it stands in; empty for a service. */
  readonly app: string;
  /** Its namespace is not there, or of another cluster: drawn with a lock, without health and pages. */
  readonly inaccessible: boolean;
}

export interface GraphEdge {
  readonly source: string;
  readonly target: string;
  readonly protocol: string;
  /** Requests per second. */
  rate: number;
  /** Of these: 4xx, 5xx and without an answer. */
  errors: number;
  /** Milliseconds at the quantile that was asked for; undefined when Kiali shows none. */
  latency: number | undefined;
}

export interface Graph {
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly edges: readonly GraphEdge[];
  /** Series left out, and why. */
  readonly skipped: readonly string[];
}

/** Builds what Kiali would draw of the selected namespaces. */
export function buildGraph(answers: readonly NamespaceAnswers[], options: GraphOptions): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges = new Map<string, GraphEdge>();
  const skipped: string[] = [];
  for (const { traffic, latency } of answers) {
    const own = namespaceEdges(traffic.flat(), options, nodes, skipped);
    setLatencies(own, latency.flat(), options);
    // An edge that an earlier namespace's answers had already is the same one.
    for (const [key, edge] of own) if (!edges.has(key)) edges.set(key, edge);
  }
  return { nodes, edges: [...edges.values()], skipped };
}

/** Edges of one namespace's map; equal series (both reporters' of one edge) count once. */
function namespaceEdges(
  samples: readonly Sample[],
  options: GraphOptions,
  nodes: Map<string, GraphNode>,
  skipped: string[],
): Map<string, GraphEdge> {
  const edges = new Map<string, GraphEdge>();
  const applied = new Set<string>();
  for (const { labels, value } of samples) {
    const hop = readHop(labels);
    if (typeof hop === "string") {
      skipped.push(hop);
      continue;
    }
    const { response_code: code, response_flags: flags } = labels;
    if (code === undefined || flags === undefined) {
      skipped.push(`${hop.source.workload}: response_code or response_flags is missing`);
      continue;
    }
    const path = pathOf(hop, options);
    for (const node of path) if (!nodes.has(node.id)) nodes.set(node.id, node);
    const series = JSON.stringify([hop, code, flags]);
    if (applied.has(series)) continue;
    applied.add(series);
    // Metadata of any other protocol ("HTTP/1.1") is ignored: the edge stays without a rate.
    const counted = hop.protocol === "http" || hop.protocol === "grpc" ? value : 0;
    for (const [index, target] of path.slice(1).entries()) {
      const edge = edgeOf(edges, path[index]?.id ?? "", target.id, hop.protocol);
      edge.rate += counted;
      if (code === "0" || /^[45]/.test(code)) edge.errors += counted;
    }
  }
  return edges;
}

/** Kiali shows a response time only on the last edge of a path: on the one into a service node there is none. */
function setLatencies(
  edges: Map<string, GraphEdge>,
  samples: readonly Sample[],
  options: GraphOptions,
): void {
  for (const { labels, value } of samples) {
    const hop = readHop(labels);
    if (typeof hop === "string" || Number.isNaN(value)) continue;
    const [from, to] = pathOf(hop, options).slice(-2);
    const edge = edges.get(edgeKey(from?.id ?? "", to?.id ?? "", hop.protocol));
    // Several workloads may share the edge: the first answer is taken, whichever that is.
    if (edge !== undefined && edge.latency === undefined) edge.latency = value;
  }
}

interface Hop {
  readonly source: Place;
  readonly target: Place & {
    readonly service: string;
    readonly serviceNamespace: string;
    readonly host: string;
  };
  readonly protocol: string;
}

interface Place {
  readonly cluster: string;
  readonly namespace: string;
  readonly workload: string;
  readonly app: string;
  readonly version: string;
}

const isOk = (text: string) => text !== "" && text !== "unknown";

/** Who called whom, or why Kiali leaves the series out. */
function readHop(labels: Sample["labels"]): Hop | string {
  const of = (label: string) => labels[label] ?? "";
  // Prometheus has no empty labels: an empty one is one that is not there.
  const missing = requiredLabels.filter((label) => of(label) === "");
  if (missing.length > 0) return `${of("source_workload")}: ${missing.join(", ")} is missing`;
  const { source_cluster: sourceCluster, destination_cluster: targetCluster } = labels;
  const place = (side: "source" | "destination", cluster: string | undefined): Place => ({
    cluster: cluster ?? "unknown",
    namespace: of(`${side}_workload_namespace`),
    workload: of(`${side}_workload`),
    app: of(`${side}_canonical_service`),
    version: of(`${side}_canonical_revision`),
  });
  const source = place("source", sourceCluster);
  if (isOk(source.namespace) && !isOk(source.workload) && !isOk(source.app))
    return `${source.namespace}: neither workload nor app`;
  if (isOk(source.namespace) && sourceCluster !== undefined && !isOk(sourceCluster))
    return `${source.workload}: source_cluster is "${sourceCluster}"`;
  const target = place("destination", isOk(targetCluster ?? "") ? targetCluster : sourceCluster);
  const namespace = isOk(target.namespace) ? target.namespace : of("destination_service_namespace");
  const service = of("destination_service_name");
  return {
    source,
    target: {
      ...target,
      namespace,
      service,
      serviceNamespace: of("destination_service_namespace"),
      host: of("destination_service"),
    },
    protocol: of("request_protocol"),
  };
}

/** The nodes that a series leads through: source, a service node where one is put in between, target. */
function pathOf({ source, target }: Hop, options: GraphOptions): GraphNode[] {
  const from = nodeOf(source, "", options);
  const to = nodeOf(target, target.service, options);
  if (!options.serviceNodes || !isOk(target.service) || to.kind === "service") return [from, to];
  return [from, serviceNode(target, target.service, options), to];
}

function nodeOf(place: Place, service: string, options: GraphOptions): GraphNode {
  const { cluster, namespace, workload, app } = place;
  const inaccessible = !options.accessible.has(`${cluster}:${namespace}`);
  if (!isOk(namespace) && !isOk(workload) && !isOk(app) && service === "")
    return {
      id: `${cluster} unknown`,
      kind: "unknown",
      cluster,
      namespace,
      name: "unknown",
      app: "",
      inaccessible,
    };
  if (!isOk(workload) && !isOk(app)) return serviceNode(place, service, options);
  const common = { cluster, namespace, app: isOk(app) ? app : "", inaccessible };
  if (options.type === "app" && isOk(app))
    return { ...common, id: `app ${cluster} ${namespace} ${app}`, kind: "app", name: app };
  return { ...common, id: `workload ${cluster} ${namespace} ${workload}`, kind: "workload", name: workload };
}

function serviceNode(
  { cluster, namespace }: Place,
  service: string,
  { accessible }: GraphOptions,
): GraphNode {
  const id = `service ${cluster} ${namespace} ${service}`;
  const inaccessible = !accessible.has(`${cluster}:${namespace}`);
  return { id, kind: "service", cluster, namespace, name: service, app: "", inaccessible };
}

const edgeKey = (source: string, target: string, protocol: string) => [source, target, protocol].join("\n");

function edgeOf(edges: Map<string, GraphEdge>, source: string, target: string, protocol: string): GraphEdge {
  const key = edgeKey(source, target, protocol);
  const edge = edges.get(key) ?? { source, target, protocol, rate: 0, errors: 0, latency: undefined };
  edges.set(key, edge);
  return edge;
}

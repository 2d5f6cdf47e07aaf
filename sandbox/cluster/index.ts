/**
 * What stands in the sandbox's cluster before vpsight comes: the ingress gateway (real pilot-agent and Envoy),
 * the panel behind it (a stand-in for Xboard), and Prometheus run by its operator.
 *
 * It does not prove: sidecars (the panel has none), installation by Helm (the objects are applied with its name
 * as field manager), cluster DNS.
 */
export {
  apiErrorText,
  applyObjects,
  describeObject,
  parseObjects,
  toClusterObject,
  waitFor,
  type ClusterObject,
} from "./apply";
export { gatewayDeployment, ingressGateway, type GatewayOptions } from "./gateway";
export {
  collectorImage,
  envoyVersions,
  gatewayImage,
  sandboxImages,
  xboardImage,
  type EnvoyVersion,
} from "./images";
export { panel, type PanelOptions } from "./panel";
export {
  legacyObjects,
  prometheusLabels,
  readyPodAddress,
  seedCluster,
  seedLegacy,
  type SeedOptions,
  type SeededCluster,
} from "./seed";
export { listPods, podProblems, readyPods, workloadProblems } from "./workload";

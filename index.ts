import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { ClientAddress } from "./components/clientAddress";
import { FleetDashboards } from "./components/fleetDashboards";
import { FleetRules } from "./components/fleetRules";
import { GatewayAccessLog } from "./components/gatewayAccessLog";
import { meshSettings } from "./components/meshSettings";
import { MeshTopology } from "./components/meshTopology";
import { ProxyProtocol, stageSettings } from "./components/proxyProtocol";
import { RetiredObjects } from "./components/retiredObjects";
import { VpsExporter } from "./components/vpsExporter";
import { readConfig, type Config } from "./config";
import { dashboardModels } from "./dashboards";
import { bundleExporter } from "./exporter/build";

/** The Pulumi program. Every problem of the config is reported before anything is registered. */
export = async () => {
  const config = readConfig();
  const bundle = config.exporter.image === undefined ? await bundleExporter() : "";

  // A changed inventory must reach running pods, so ConfigMaps are updated in place and not replaced.
  const provider = new k8s.Provider("cluster", { ...config.cluster, enableConfigMapMutable: true });
  const common = commonArgs(config);

  const exporter = new VpsExporter("exporter", { ...common, ...exporterArgs(config), bundle }, { provider });
  const receiver = config.accessLog.receiver ?? exporter.receiver;
  new ProxyProtocol("proxy-protocol", { ...common, ...config.proxyProtocol }, { provider });
  new ClientAddress("client-address", { ...common, ...config.clientAddress }, { provider });
  new GatewayAccessLog(
    "access-log",
    { ...common, ...config.accessLog, receiver },
    { provider, dependsOn: exporter },
  );
  if (rulesWanted(config)) {
    new FleetRules("rules", { ...common, ...ruleArgs(config) }, { provider, dependsOn: exporter });
  }
  if (dashboardsWanted(config))
    new FleetDashboards("dashboards", { ...common, ...dashboardArgs(config) }, { provider });
  if (config.kiali.enabled)
    new MeshTopology("mesh", { ...common, ...meshArgs(config) }, { provider, dependsOn: exporter });
  new RetiredObjects("retired", { objects: config.retired, cluster: config.cluster });

  return { stage: config.proxyProtocol.stage, fleetSize: config.fleet.size, receiver };
};

/** Every object's name begins with the namespace's, so that two stacks can share a cluster. */
const commonArgs = ({ namespace, gateway }: Config) => ({ objectName: namespace.name, gateway });

const exporterArgs = (config: Config) => ({
  ...config.exporter,
  namespace: config.namespace.name,
  createNamespace: config.namespace.create,
  inventory: config.fleet.text,
  inventoryEndpoint:
    config.fleet.http === undefined
      ? undefined
      : { ...config.fleet.http, authorities: config.fleet.authorities },
  monitoring: config.monitoring,
  mesh: config.kiali.enabled ? meshSettings(config) : undefined,
});

const meshArgs = ({ kiali, namespace, monitoring, fleet, cluster }: Config) => ({
  ...kiali,
  exporterNamespace: namespace.name,
  monitoring,
  workloads: kiali.workloads ? [...fleet.vps] : [],
  cluster,
});

/** Without the operator nobody knows a PrometheusRule. */
const rulesWanted = ({ rules, monitoring }: Config) =>
  rules.enabled && monitoring.discovery === "serviceMonitor";

const ruleArgs = ({ rules, monitoring, namespace, proxyProtocol }: Config) => ({
  ...rules,
  limits: rules,
  addressesKnown: stageSettings[proxyProtocol.stage].loadBalancerSends,
  namespace: namespace.name,
  labels: monitoring.labels,
  scrapeInterval: monitoring.scrapeInterval,
  stage: proxyProtocol.stage,
});

/** The dashboards show what the rules record. */
function dashboardsWanted(config: Config): boolean {
  if (!config.dashboards.enabled || rulesWanted(config)) return config.dashboards.enabled;
  void pulumi.log.warn(
    "No dashboards are deployed: they read recorded series, which need rules.enabled and monitoring.discovery " +
      "serviceMonitor. Set dashboards.enabled to false to say that this is meant.",
  );
  return false;
}

const dashboardArgs = ({ dashboards, namespace }: Config) => ({
  ...dashboards,
  dashboards: dashboardModels({ ...dashboards, prefix: namespace.name }),
});

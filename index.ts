import * as k8s from "@pulumi/kubernetes";
import { ClientAddress } from "./components/clientAddress";
import { FleetDashboards } from "./components/fleetDashboards";
import { GatewayAccessLog } from "./components/gatewayAccessLog";
import { ProxyProtocol } from "./components/proxyProtocol";
import { RetiredObjects } from "./components/retiredObjects";
import { VpsExporter } from "./components/vpsExporter";
import { readConfig } from "./config";
import { dashboardModels } from "./dashboards";
import { bundleExporter } from "./exporter/build";

/** The Pulumi program. Every problem of the config is reported before anything is registered. */
export = async () => {
  const config = readConfig();
  const bundle = config.exporter.image === undefined ? await bundleExporter() : "";

  // A changed inventory must reach running pods, so ConfigMaps are updated in place and not replaced.
  const cluster = new k8s.Provider("cluster", { ...config.cluster, enableConfigMapMutable: true });
  const options = { provider: cluster };
  const common = { objectName: config.namespace.name, gateway: config.gateway };

  const exporter = new VpsExporter(
    "exporter",
    {
      ...common,
      namespace: config.namespace.name,
      createNamespace: config.namespace.create,
      ...config.exporter,
      bundle,
      inventory: config.fleet.text,
      monitoring: config.monitoring,
    },
    options,
  );
  new ProxyProtocol("proxy-protocol", { ...common, ...config.proxyProtocol }, options);
  new ClientAddress("client-address", { ...common, ...config.clientAddress }, options);
  new GatewayAccessLog(
    "access-log",
    { ...common, ...config.accessLog, receiver: exporter.receiver },
    { ...options, dependsOn: exporter },
  );
  if (config.dashboards.enabled)
    new FleetDashboards(
      "dashboards",
      { ...common, ...config.dashboards, dashboards: dashboardModels() },
      options,
    );
  new RetiredObjects("retired", { objects: config.retired, cluster: config.cluster });

  return { stage: config.proxyProtocol.stage, fleetSize: config.fleet.size, receiver: exporter.receiver };
};

import { randomBytes } from "node:crypto";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { stringify } from "yaml";
import { ports } from "../components/vpsExporterObjects";
import type { Inventory, Vps } from "../exporter/identify/inventory";
import {
  ingressGateway,
  panel,
  listPods,
  prometheusLabels,
  readyPodAddress,
  sandboxImages,
  seedCluster,
  seedLegacy,
  waitFor,
} from "./cluster";
import { controlPlaneParts, startControlPlane, type ControlPlane } from "./controlPlane";
import { Engine } from "./engine";
import { gatewayCounters, gatewayReports } from "./gateway";
import {
  fleetAddresses,
  panelNodeIds,
  planFleet,
  readInventory,
  type PlannedVps,
  type Target,
} from "./fleet";
import { PrometheusClient } from "./ledger";
import { startLoadBalancer, type LoadBalancer } from "./loadBalancer";
import { addWanAddresses, sandboxNetwork } from "./namespace/network";
import type { SandboxNamespace } from "./namespace/inside";
import { Progress } from "./progress";
import { buildXboard, XboardControl } from "./xboard";

/** Labels of the exporter's Pods in the namespace `vpsight`. */
export const exporterLabels = { "app.kubernetes.io/name": "vpsight-exporter" } as const;

const fleetFile = path.join(__dirname, "../fleet/sandbox.yaml");

/** The parts, the node and two sets of definitions, three workloads, the load balancer, the engine. */
const platformSteps = controlPlaneParts.length + 3 + 3 + 2;
/** `pulumi up`, the gateway with its result, the first scrape. */
const deploySteps = 3;

/** Everything that runs, and how to reach it from inside the sandbox. */
export interface Platform {
  readonly controlPlane: ControlPlane;
  readonly loadBalancer: LoadBalancer;
  /** The program's stack, deployed unless `deploy: false`. */
  readonly engine: Engine;
  readonly prometheus: PrometheusClient;
  /** Base address of Prometheus. */
  readonly prometheusUrl: string;
  readonly xboard: XboardControl;
  /** How the fleet reaches the panel. */
  readonly target: Target;
  /** The panel's one token; it must turn up nowhere. */
  readonly token: string;
  readonly inventory: Inventory;
  readonly plan: readonly PlannedVps[];
  /** Addresses of the exporter's pods that are ready. */
  readonly exporters: () => Promise<string[]>;
  /** Enters a VPS's new addresses in the inventory: `pulumi up`, then waits until every exporter knows them. */
  readonly moveVps: (name: string, addresses: readonly string[]) => Promise<void>;
  /** `pulumi up` with these entries in the inventory. */
  readonly deployInventory: (entries: readonly InventoryEntry[]) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface PlatformOptions {
  /** Overrides of `Pulumi.sandbox.yaml`, by key. */
  config?: Record<string, unknown>;
  /** Deploy the program (default), or leave that to the caller. */
  deploy?: boolean;
  /** Apply the abandoned attempt's objects first. Default true. */
  legacy?: boolean;
}

/** One entry of the inventory file. */
export type InventoryEntry = Pick<Vps, "name" | "region" | "addresses"> &
  Partial<Pick<Vps, "nodeIds" | "provider" | "state">>;

/** The inventory as the entries of a file again. */
export function inventoryEntries({ vps }: Inventory): InventoryEntry[] {
  return vps.map(({ name, region, addresses, nodeIds, provider, state }) => ({
    name,
    region,
    addresses,
    nodeIds,
    provider,
    state,
  }));
}

/** What an exporter serves at /metrics. */
export async function scrape(address: string): Promise<string> {
  const response = await fetch(`http://${address}:${ports.metrics}/metrics`);
  return response.text();
}

/** Brings up the whole platform. @throws SandboxError in one sentence; what was started is stopped then. */
export async function startPlatform(
  namespace: SandboxNamespace,
  options: PlatformOptions = {},
): Promise<Platform> {
  const progress = new Progress(platformSteps + (options.deploy === false ? 0 : deploySteps));
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    return await start(namespace, options, progress, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  } finally {
    progress.close();
  }
}

async function start(
  namespace: SandboxNamespace,
  { config = {}, deploy = true, legacy = true }: PlatformOptions,
  progress: Progress,
  stops: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<Platform> {
  const directory = path.join(namespace.innerDirectory, `platform-${randomBytes(4).toString("hex")}`);
  await mkdir(directory, { recursive: true });
  const inventory = await readInventory(fleetFile);
  const plan = planFleet(inventory);
  await addWanAddresses(fleetAddresses(plan, inventory));
  const token = randomBytes(16).toString("hex");
  const fleetCopy = path.join(directory, "fleet.yaml");
  await copyFile(fleetFile, fleetCopy);
  const xboardBundle = path.join(directory, "xboard.cjs");
  await buildXboard(xboardBundle);

  const controlPlane = await startControlPlane({
    directory: path.join(directory, "control-plane"),
    logDirectory: namespace.logDirectory,
    images: sandboxImages(xboardBundle),
    progress: progress.report,
  });
  stops.push(() => controlPlane.stop());
  const { kubeConfig } = controlPlane;

  const seeding = seedCluster({
    kubeConfig,
    directory: path.join(directory, "panel"),
    panel: { token, nodeIds: panelNodeIds(plan) },
    progress: progress.report,
  });
  const opening = progress.step("pulumi engine", () =>
    Engine.open({
      directory: path.join(directory, "pulumi"),
      kubeconfig: controlPlane.kubeconfigFile,
      config: { fleet: { file: fleetCopy }, ...config },
    }),
  );
  const balancing = progress.step("load balancer", async () => {
    const started = await startLoadBalancer({
      kubeConfig,
      service: { namespace: ingressGateway.namespace, name: ingressGateway.name },
      addresses: [...sandboxNetwork.loadBalancerAddresses],
      directory: path.join(directory, "load-balancer"),
      log: () => undefined,
    });
    stops.push(() => started.stop());
    await started.inForce(
      "a target for HTTPS",
      ({ targets }) => targets.some(({ port }) => port === 443),
      90_000,
    );
    return started;
  });
  // After Prometheus too: its config reloader must be watching before there is something to reload.
  const deploying = Promise.all([opening, balancing, seeding]).then(async ([engine]) => {
    if (legacy) await seedLegacy(kubeConfig);
    if (deploy) await progress.step("pulumi up", () => engine.up());
  });
  // All are awaited even when one fails: what is still starting could not be stopped.
  await Promise.allSettled([seeding, opening, balancing, deploying]);
  const [{ panelAuthority }, engine, loadBalancer] = await Promise.all([
    seeding,
    opening,
    balancing,
    deploying,
  ]);

  const address = async (where: string, labels: Readonly<Record<string, string>>) =>
    waitFor(`a pod of ${where}`, 30_000, () => readyPodAddress(kubeConfig, where, labels));
  const prometheusUrl = `http://${await address("monitoring", prometheusLabels)}:9090`;
  const prometheus = new PrometheusClient(prometheusUrl);
  const xboardAddress = await address(panel.namespace, { app: panel.name });

  const exporters = async () => {
    const pods = await listPods(kubeConfig, "vpsight", exporterLabels);
    return pods
      .filter(
        ({ metadata, status }) => metadata?.deletionTimestamp === undefined && status?.phase === "Running",
      )
      .flatMap(({ status }) => status?.podIP ?? []);
  };
  const deployInventory = async (entries: readonly InventoryEntry[]) => {
    await writeFile(fleetCopy, stringify({ vps: entries }));
    await engine.up();
  };
  const moveVps = async (name: string, addresses: readonly string[]) => {
    const entries = inventoryEntries(inventory);
    await deployInventory(entries.map((entry) => (entry.name === name ? { ...entry, addresses } : entry)));
    const line = new RegExp(`^vps_info{[^}]*vps="${name}".*$`, "m");
    await waitFor(`every exporter knows ${name} at ${addresses.join(", ")}`, 30_000, async () => {
      const texts = await Promise.all((await exporters()).map(scrape));
      const infos = texts.map((text) => line.exec(text)?.[0] ?? "");
      return infos.every((info) => addresses.every((each) => info.includes(each))) ? true : undefined;
    });
  };

  if (deploy) {
    await progress.step("gateway configured", () =>
      gatewayReports(kubeConfig, "the OTLP logger", (stats) => stats.has(gatewayCounters.recordsWritten)),
    );
    await progress.step("first scrape", () =>
      waitFor("a scrape of every exporter", 60_000, async () => {
        const [samples, pods] = await Promise.all([
          prometheus.query("count(vpsight_exporter_build_info)"),
          exporters(),
        ]);
        return pods.length > 0 && samples[0]?.value === pods.length ? true : undefined;
      }),
    );
  }
  return {
    controlPlane,
    loadBalancer,
    engine,
    prometheus,
    prometheusUrl,
    xboard: new XboardControl(`http://${xboardAddress}:${panel.controlPort}`),
    target: {
      ipv4: sandboxNetwork.loadBalancerAddresses[0],
      ipv6: sandboxNetwork.loadBalancerAddresses[1],
      port: 443,
      serverName: panel.host,
      ca: panelAuthority,
    },
    token,
    inventory,
    plan,
    exporters,
    deployInventory,
    moveVps,
    stop,
  };
}

import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeConfig } from "@kubernetes/client-node";
import { applyObjects } from "../cluster/apply";
import { startKubelet, type ImageTable, type Kubelet } from "../kubelet";
import { sandboxNetwork } from "../namespace/network";
import { partPath } from "../parts/find";
import { logTail, startProcess, type RunningProcess } from "../process";
import { controlPlaneAddresses, controlPlaneParts, partCommand, type ControlPlanePart } from "./commands";
import { applyDefinitions, readDefinitions } from "./definitions";
import { makeKubeConfig, writeControlPlaneFiles, writeKubeConfig, type ControlPlaneFiles } from "./files";

/** One step of a start. */
export interface PartProgress {
  /** Part, e.g. `istiod`, `Istio definitions`, `node`. */
  readonly part: string;
  readonly state: "starting" | "ready";
  /** A few words more, e.g. `in 2.1 s`. */
  readonly detail: string;
}

/** What the control plane starts with. */
export interface ControlPlaneOptions {
  /** For keys and data; best on a tmpfs. Made with mode 0700 when missing. */
  readonly directory: string;
  /** For one log per part; the Pods' logs are the kubelet's (`kubelet.logPath`). */
  readonly logDirectory: string;
  /** What the node runs for each image. */
  readonly images: ImageTable;
  /** Extra names for the Pods' /etc/hosts (name -> address), read when a Pod starts. Default: none. */
  readonly hosts?: () => Record<string, string>;
  /** Told about each step. Default: nobody. */
  readonly progress?: (step: PartProgress) => void;
}

/** A running control plane with one node. */
export interface ControlPlane {
  /** The administrator's. */
  readonly kubeConfig: KubeConfig;
  /** The administrator's, as a file; its server is reached inside the sandbox only. */
  readonly kubeconfigFile: string;
  readonly kubelet: Kubelet;
  /** Writes the administrator's kubeconfig for another address of the API server, e.g. a forwarded port. */
  writeKubeconfig(file: string, server: string): Promise<void>;
  /** Path of a part's log. */
  logFile(part: ControlPlanePart): string;
  /** Whether the part's process is running. */
  isRunning(part: ControlPlanePart): boolean;
  /** Stops one part; one that is stopped stays so. */
  stopPart(part: ControlPlanePart): Promise<void>;
  /** Starts a stopped part again, with its data, and waits until it is ready. */
  startPart(part: ControlPlanePart): Promise<void>;
  /** Settles with the first part that ends by itself, and its last log lines; never before that. */
  readonly failed: Promise<{ part: ControlPlanePart; message: string }>;
  /** Ends the Pods, then the parts in reverse order. May be called twice. */
  stop(): Promise<void>;
}

const fieldManager = "sandbox";
const nodeStopTimeout = 8_000;

// Megabytes of schema for nothing the sandbox runs: several seconds of the API server's time.
const unusedDefinitions: ReadonlySet<string> = new Set([
  "alertmanagerconfigs.monitoring.coreos.com",
  "alertmanagers.monitoring.coreos.com",
  "prometheusagents.monitoring.coreos.com",
  "thanosrulers.monitoring.coreos.com",
]);

/**
 * Starts everything of the control plane, as much at once as can be.
 *
 * @throws {SandboxError} naming the part that failed, its last log lines and its log; the others are stopped then.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const files = await writeControlPlaneFiles(options.directory);
  const kubeConfig = await makeKubeConfig(files.authorityText, files.clients.admin);
  const plane = new RunningControlPlane(options, files, kubeConfig);
  try {
    await plane.start();
    return plane;
  } catch (error) {
    await plane.stop();
    throw error;
  }
}

class RunningControlPlane implements ControlPlane {
  readonly failed: Promise<{ part: ControlPlanePart; message: string }>;
  private reportFailure: (failure: { part: ControlPlanePart; message: string }) => void = () => undefined;
  private readonly processes = new Map<ControlPlanePart, RunningProcess>();
  /** Parts that are meant to be down, or on their way there. */
  private readonly stopping = new Set<ControlPlanePart>();
  private node: Kubelet | undefined;

  constructor(
    private readonly options: ControlPlaneOptions,
    private readonly files: ControlPlaneFiles,
    readonly kubeConfig: KubeConfig,
  ) {
    this.failed = new Promise((resolve) => (this.reportFailure = resolve));
  }

  get kubeconfigFile(): string {
    return this.files.kubeconfigs.admin;
  }

  get kubelet(): Kubelet {
    if (this.node === undefined) throw new Error("the node has not been started");
    return this.node;
  }

  async start(): Promise<void> {
    await this.startPart("etcd");
    await this.startPart("kube-apiserver");
    // All are awaited even when one fails: a part still starting could not be stopped.
    const steps = await Promise.allSettled([
      this.startPart("kube-controller-manager"),
      this.startPart("kube-scheduler"),
      this.startNode(),
      // One after the other: the API server compiles definitions on one core or two, and istiod takes longer to start.
      this.applyIstioDefinitions().then(() =>
        Promise.all([this.startPart("istiod"), this.startPrometheusOperator()]),
      ),
    ]);
    const failure = steps.find((step) => step.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  }

  async writeKubeconfig(file: string, server: string): Promise<void> {
    await writeKubeConfig(
      file,
      await makeKubeConfig(this.files.authorityText, this.files.clients.admin, server),
    );
  }

  logFile(part: ControlPlanePart): string {
    return join(this.options.logDirectory, `${part}.log`);
  }

  isRunning(part: ControlPlanePart): boolean {
    return this.processes.get(part)?.running ?? false;
  }

  async startPart(part: ControlPlanePart): Promise<void> {
    if (this.isRunning(part)) return;
    await this.step(part, async () => {
      const process = await startProcess({
        ...partCommand(part, this.files),
        name: part,
        logFile: this.logFile(part),
      });
      this.stopping.delete(part);
      this.processes.set(part, process);
      void process.exited.then(() => this.onExit(part, process));
    });
  }

  async stopPart(part: ControlPlanePart): Promise<void> {
    this.stopping.add(part);
    await this.processes.get(part)?.stop();
  }

  async stop(): Promise<void> {
    // Bounded: with etcd gone the API server keeps the node waiting for minutes.
    await Promise.race([this.node?.stop(), sleep(nodeStopTimeout, undefined, { ref: false })]);
    for (const part of [...controlPlaneParts].reverse()) await this.stopPart(part);
  }

  private async onExit(part: ControlPlanePart, process: RunningProcess): Promise<void> {
    if (this.stopping.has(part)) return;
    const message = `${part} ended by itself: ${await logTail(process.logFile)}; log: ${process.logFile}`;
    this.reportFailure({ part, message });
  }

  private async startNode(): Promise<void> {
    await mkdir(this.options.logDirectory, { recursive: true });
    const log = createWriteStream(join(this.options.logDirectory, "kubelet.log"), { flags: "a" });
    // A log that cannot be written (a full disk) must not end the sandbox.
    log.on("error", () => undefined);
    await this.step("node", async () => {
      this.node = await startKubelet({
        kubeConfig: this.kubeConfig,
        nodeName: "sandbox",
        nodeAddress: sandboxNetwork.nodeAddress,
        podNetwork: { bridge: sandboxNetwork.podBridge, cidr: sandboxNetwork.podRange },
        images: this.options.images,
        directory: join(this.options.directory, "kubelet"),
        log: (line) => log.write(`${new Date().toISOString()} ${line}\n`),
        ...(this.options.hosts === undefined ? {} : { hosts: this.options.hosts }),
      });
    });
  }

  private async applyIstioDefinitions(): Promise<void> {
    await this.step("Istio definitions", async () => {
      const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } };
      await Promise.all([
        // istiod keeps its authority's key in a Secret there.
        applyObjects(this.kubeConfig, [namespace], fieldManager),
        readDefinitions(partPath("istio-crds")).then((all) => applyDefinitions(this.kubeConfig, all)),
      ]);
    });
  }

  private async startPrometheusOperator(): Promise<void> {
    await this.step("Prometheus definitions", async () => {
      const all = await readDefinitions(partPath("prometheus-operator-crds"));
      await applyDefinitions(
        this.kubeConfig,
        all.filter(({ name }) => !unusedDefinitions.has(name)),
      );
    });
    await this.startPart("prometheus-operator");
  }

  private async step(part: string, work: () => Promise<void>): Promise<void> {
    const started = performance.now();
    this.options.progress?.({ part, state: "starting", detail: "" });
    await work();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    this.options.progress?.({ part, state: "ready", detail: `in ${seconds} s` });
  }
}

/** URL of the API server on a forwarded host port. */
export function forwardedServer(port: number): string {
  return controlPlaneAddresses.kubernetes.replace(/\/\/.*$/, `//127.0.0.1:${port}`);
}

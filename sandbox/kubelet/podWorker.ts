import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { V1Container, V1ContainerStatus, V1Pod } from "@kubernetes/client-node";
import type { Mount } from "./bubblewrap";
import { writeCommonFiles } from "./commonFiles";
import { containerRoot } from "./containerRoot";
import { ContainerRunner } from "./containerRunner";
import type { ObjectSource } from "./environment";
import type { PodFacts } from "./fields";
import type { PodApi } from "./podApi";
import { type AddressPool, attachPod, type PodNetwork } from "./podNetwork";
import { isSidecar, podStatus } from "./podStatus";
import { StatusReporter } from "./statusReporter";
import type { KubeletOptions, Programs } from "./types";
import { PodVolumes, showsObject } from "./volumes";
import { errorText } from "./watch";

export interface WorkerContext {
  options: KubeletOptions;
  api: PodApi;
  programs: Programs;
  addresses: AddressPool;
  objectsIn: (namespace: string) => ObjectSource;
  logPath: (namespace: string, pod: string, container: string) => string;
}

/** Why a Pod ends: its deletion was asked for, its object is gone already, or the kubelet stops. */
type EndReason = "deleted" | "gone" | "stopped";

const retryMilliseconds = 1000;
const defaultGraceSeconds = 30;

/** One Pod, from the moment it is bound to the node until nothing of it is left. */
export class PodWorker {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Resolves when nothing of the Pod is left. */
  readonly done: Promise<void>;
  private readonly address: string;
  private readonly directory: string;
  private readonly volumes: PodVolumes;
  private readonly reporter: StatusReporter;
  private readonly startTime = new Date();
  private readonly runners = new Map<string, ContainerRunner>();
  private readonly sidecars: { runner: ContainerRunner; ended: Promise<unknown> }[] = [];
  private readonly ending = new AbortController();
  private endReason: EndReason | undefined;
  private endDeadline = Number.POSITIVE_INFINITY;
  private network: PodNetwork | undefined;
  private commonMounts: Mount[] = [];
  private isSetUp = false;
  private problem: { reason: string; message: string } | undefined;

  constructor(
    private pod: V1Pod,
    private readonly context: WorkerContext,
  ) {
    this.uid = pod.metadata?.uid ?? "";
    this.namespace = pod.metadata?.namespace ?? "";
    this.name = pod.metadata?.name ?? "";
    this.address = context.addresses.take();
    this.directory = join(context.options.directory, "pods", this.uid);
    const objects = context.objectsIn(this.namespace);
    this.volumes = new PodVolumes({
      directory: join(this.directory, "volumes"),
      facts: () => this.facts(),
      objects,
      requestToken: (wish) => context.api.requestToken(this.pod, wish),
    });
    this.reporter = new StatusReporter(
      (previous) => podStatus(this.snapshot(), previous, new Date()),
      (status) => context.api.patchStatus(this.pod, status),
      (line) => this.log(line),
    );
    this.done = this.run();
    this.update(pod);
  }

  /** The Pod's object is no more. */
  get isGone(): boolean {
    return this.endReason === "gone";
  }

  /** Takes note of the newest version of the Pod; begins its end when its deletion was asked for. */
  update(pod: V1Pod): void {
    this.pod = pod;
    if (pod.metadata?.deletionTimestamp)
      this.end("deleted", pod.metadata.deletionGracePeriodSeconds ?? defaultGraceSeconds);
    else this.refreshVolumes();
    this.reporter.changed();
  }

  objectChanged(kind: "ConfigMap" | "Secret", name: string): void {
    if (showsObject(this.pod, kind, name)) this.refreshVolumes();
  }

  /** Fills the volumes anew where their sources changed, and renews tokens that are due. */
  refreshVolumes(): void {
    if (!this.isSetUp || this.ending.signal.aborted) return;
    // Like a real kubelet: a running Pod keeps what its volumes held when an object vanished.
    this.volumes.update().catch((error: unknown) => this.log(`volumes: ${errorText(error)}`));
  }

  /** Ends the Pod's containers; a later call may only shorten the time. */
  end(reason: EndReason, graceSeconds: number): void {
    const deadline = Date.now() + graceSeconds * 1000;
    if (this.endReason !== undefined && deadline >= this.endDeadline) return;
    const again = this.endReason !== undefined;
    if (this.endReason !== "stopped") this.endReason = reason;
    this.endDeadline = deadline;
    this.ending.abort();
    const sidecars = new Set(this.sidecars.map(({ runner }) => runner));
    for (const runner of this.runners.values()) {
      // Sidecars end after the others, unless somebody is in a hurry.
      if (again || !sidecars.has(runner)) void runner.terminate(graceSeconds);
    }
  }

  /** Kills the containers; they start again by the restart policy. */
  kill(): void {
    for (const runner of this.runners.values()) runner.kill();
  }

  private async run(): Promise<void> {
    try {
      await this.setUp();
      if (await this.runInitContainers()) await this.runContainers();
      await this.endSidecars();
    } catch (error) {
      this.log(`failed: ${String(error)}`);
      this.problem = { reason: "SandboxError", message: String(error) };
      await Promise.all([...this.runners.values()].map((runner) => runner.terminate(0)));
    }
    this.reporter.changed();
    await aborted(this.ending.signal);
    await Promise.all(this.sidecars.map(({ ended }) => ended));
    await this.tearDown();
  }

  private async setUp(): Promise<void> {
    while (!this.ending.signal.aborted) {
      try {
        refuseUnsupported(this.pod);
        this.network ??= await this.attach();
        await this.volumes.update();
        const hosts = this.context.options.hosts?.() ?? {};
        this.commonMounts = await writeCommonFiles(
          join(this.directory, "etc"),
          this.pod,
          this.address,
          hosts,
        );
        this.problem = undefined;
        this.isSetUp = true;
        return;
      } catch (error) {
        const message = errorText(error);
        const reason = this.network ? "FailedMount" : "FailedCreatePodSandBox";
        if (this.problem?.message !== message) this.log(`${reason}: ${message}`);
        this.problem = { reason, message };
        this.reporter.changed();
        await sleep(retryMilliseconds, undefined, { signal: this.ending.signal }).catch(() => undefined);
      }
    }
  }

  private attach(): Promise<PodNetwork> {
    const { podNetwork, nodeAddress } = this.context.options;
    const sysctls = this.pod.spec?.securityContext?.sysctls ?? [];
    return attachPod({
      id: this.uid.replaceAll("-", "").slice(0, 12),
      address: this.address,
      prefixLength: Number(podNetwork.cidr.split("/")[1]),
      bridge: podNetwork.bridge,
      gateway: nodeAddress,
      programs: this.context.programs,
      sysctls: Object.fromEntries(sysctls.map(({ name, value }) => [name, value])),
    });
  }

  /** @returns whether the Pod's containers may start. */
  private async runInitContainers(): Promise<boolean> {
    for (const container of this.pod.spec?.initContainers ?? []) {
      if (this.ending.signal.aborted) return false;
      const sidecar = isSidecar(this.pod, container.name);
      const policy = this.pod.spec?.restartPolicy === "Never" ? "Never" : "OnFailure";
      const runner = this.runner(container, sidecar ? "Always" : policy);
      const ended = runner.run();
      if (sidecar) {
        this.sidecars.push({ runner, ended });
        await runner.started;
      } else if ((await ended) !== 0) {
        return false;
      }
    }
    return !this.ending.signal.aborted;
  }

  private async runContainers(): Promise<void> {
    const policy = this.pod.spec?.restartPolicy;
    const restart = policy === "Never" || policy === "OnFailure" ? policy : "Always";
    const runners = (this.pod.spec?.containers ?? []).map((container) => this.runner(container, restart));
    await Promise.all(runners.map((runner) => runner.run()));
  }

  private async endSidecars(): Promise<void> {
    for (const { runner, ended } of this.sidecars.toReversed()) {
      const grace = this.endDeadline === Number.POSITIVE_INFINITY ? defaultGraceSeconds : this.graceLeft();
      await runner.terminate(grace);
      await ended;
    }
  }

  private graceLeft(): number {
    return Math.max(0, (this.endDeadline - Date.now()) / 1000);
  }

  private runner(container: V1Container, restart: "Always" | "OnFailure" | "Never"): ContainerRunner {
    const { options, logPath } = this.context;
    const runner = new ContainerRunner({
      container,
      restart,
      podUid: this.uid,
      podAddress: this.address,
      network: this.network?.namespace ?? "",
      programs: this.context.programs,
      logPath: logPath(this.namespace, this.name, container.name),
      graceSeconds: this.pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds,
      backOffSeconds: options.restartBackOffSeconds ?? { first: 10, longest: 300 },
      root: () =>
        containerRoot({
          container,
          facts: this.facts(),
          objects: this.context.objectsIn(this.namespace),
          images: options.images,
          volumes: this.volumes.directories(),
          commonMounts: this.commonMounts,
          commonEnvironment: this.context.api.serviceEnvironment,
        }),
      changed: () => this.reporter.changed(),
      log: (line) => this.log(line),
    });
    this.runners.set(container.name, runner);
    return runner;
  }

  private async tearDown(): Promise<void> {
    if (this.endReason === "deleted") await this.reporter.flush();
    this.reporter.stop();
    await this.network?.remove();
    // An object that changes while its Pod ends may still be on its way into a volume.
    await this.volumes.settled();
    await rm(this.directory, { recursive: true, force: true });
    this.context.addresses.release(this.address);
    if (this.endReason === "deleted") await this.context.api.deletePod(this.pod);
  }

  private facts(): PodFacts {
    return { pod: this.pod, podAddress: this.address, nodeAddress: this.context.options.nodeAddress };
  }

  private snapshot(): Parameters<typeof podStatus>[0] {
    const { spec } = this.pod;
    const waiting = spec?.initContainers?.length ? "PodInitializing" : "ContainerCreating";
    const statuses = (containers: V1Container[]): V1ContainerStatus[] =>
      containers.map(
        (container) => this.runners.get(container.name)?.status() ?? notStarted(container, waiting),
      );
    return {
      pod: this.pod,
      startTime: this.startTime,
      podAddress: this.network?.address,
      nodeAddress: this.context.options.nodeAddress,
      initContainers: statuses(spec?.initContainers ?? []),
      containers: statuses(spec?.containers ?? []),
      problem: this.problem,
    };
  }

  private log(line: string): void {
    this.context.options.log(`${this.namespace}/${this.name}: ${line}`);
  }
}

function notStarted(container: V1Container, reason: string): V1ContainerStatus {
  const { name, image = "" } = container;
  return {
    name,
    image,
    imageID: "",
    ready: false,
    started: false,
    restartCount: 0,
    state: { waiting: { reason } },
  };
}

function refuseUnsupported(pod: V1Pod): void {
  const refused = (["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] as const).filter(
    (field) => pod.spec?.[field] === true,
  );
  if (refused.length > 0)
    throw new Error(`spec.${refused.join(", spec.")} is refused by the sandbox's kubelet`);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

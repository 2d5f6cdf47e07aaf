import { setTimeout as sleep } from "node:timers/promises";
import type {
  V1Container,
  V1ContainerState,
  V1ContainerStatus,
  V1LifecycleHandler,
} from "@kubernetes/client-node";
import type { ContainerRoot } from "./bubblewrap";
import { type ContainerProcess, startContainer } from "./containerProcess";
import { ContainerConfigError } from "./environment";
import { type ProbeTarget, runProbe } from "./probe";
import { Prober } from "./prober";
import type { Programs } from "./types";
import { errorText } from "./watch";

export interface RunnerOptions {
  container: V1Container;
  /** When it starts again after it ended. */
  restart: "Always" | "OnFailure" | "Never";
  podUid: string;
  podAddress: string;
  network: string;
  logPath: string;
  programs: Programs;
  /** Grace period of the Pod, for restarts by a probe. */
  graceSeconds: number;
  backOffSeconds: { first: number; longest: number };
  /** Built anew for each start: ConfigMaps in the environment may have changed. */
  root: () => Promise<ContainerRoot>;
  /** The status is another one now. */
  changed: () => void;
  log: (line: string) => void;
}

/** A container that ran this long starts over with the shortest back-off. */
const backOffResetMilliseconds = 600_000;
/** Even after a long preStop hook a container gets this long between SIGTERM and SIGKILL. */
const leastGraceMilliseconds = 2000;
const configRetryMilliseconds = 1000;

/** One container of a Pod over all its restarts. */
export class ContainerRunner {
  private state: V1ContainerState = { waiting: { reason: "ContainerCreating" } };
  private lastState: V1ContainerState = {};
  private process: ContainerProcess | undefined;
  private prober: Prober | undefined;
  private ready = false;
  private hasStarted = false;
  private restartCount = 0;
  private backOff = 0;
  private killDeadline = Number.POSITIVE_INFINITY;
  private readonly ending = new AbortController();
  private announceStarted: () => void = () => undefined;
  /** Resolves when the container first counts as started (or will never be). */
  readonly started = new Promise<void>((resolve) => (this.announceStarted = resolve));

  constructor(private readonly options: RunnerOptions) {}

  status(): V1ContainerStatus {
    const { container, podUid } = this.options;
    return {
      name: container.name,
      image: container.image ?? "",
      imageID: `sandbox://${container.image ?? ""}`,
      containerID: `sandbox://${podUid}/${container.name}/${this.restartCount}`,
      // An init container that did its work counts as ready.
      ready: this.ready || this.state.terminated?.exitCode === 0,
      started: this.hasStarted,
      restartCount: this.restartCount,
      state: this.state,
      lastState: this.lastState,
    };
  }

  /** Runs the container, again and again where its restart policy says so. @returns its last exit code. */
  async run(): Promise<number | undefined> {
    let exitCode: number | undefined;
    while (!this.ending.signal.aborted) {
      exitCode = await this.runOnce();
      if (exitCode === undefined) continue;
      const again =
        this.options.restart === "Always" || (this.options.restart === "OnFailure" && exitCode !== 0);
      if (!again || this.ending.signal.aborted) break;
      await this.waitBackOff();
    }
    this.announceStarted();
    return exitCode;
  }

  /**
   * Ends the container for good: preStop hook, SIGTERM, and SIGKILL when the grace period is over.
   * A second call may only shorten the time.
   */
  async terminate(graceSeconds: number): Promise<void> {
    this.ending.abort();
    this.prober?.ending();
    await this.end(graceSeconds);
    if (this.state.waiting) this.setState({ waiting: { reason: "PodTerminating" } });
  }

  /** Kills what runs now. */
  kill(): void {
    this.process?.signal("SIGKILL");
  }

  /** @returns the exit code; undefined when it could not start yet. */
  private async runOnce(): Promise<number | undefined> {
    let running: ContainerProcess;
    try {
      const root = await this.options.root();
      if (this.ending.signal.aborted) return undefined;
      running = await startContainer({ ...this.options, root });
    } catch (error) {
      await this.waitForConfig(error);
      return undefined;
    }
    this.process = running;
    this.killDeadline = Number.POSITIVE_INFINITY;
    this.setState({ running: { startedAt: running.startedAt } });
    // The Pod's end may have been asked for while the process was starting.
    if (this.ending.signal.aborted) running.signal("SIGKILL");
    else void this.whileRunning(running);
    const { exitCode, finishedAt } = await running.exited;
    this.prober?.stop();
    this.process = undefined;
    this.ready = false;
    this.hasStarted = false;
    const reason = exitCode === 0 ? "Completed" : "Error";
    this.setState({ terminated: { exitCode, reason, startedAt: running.startedAt, finishedAt } });
    if (finishedAt.getTime() - running.startedAt.getTime() > backOffResetMilliseconds) this.backOff = 0;
    return exitCode;
  }

  private async whileRunning(running: ContainerProcess): Promise<void> {
    const { container, log } = this.options;
    const hook = container.lifecycle?.postStart;
    if (hook && !(await this.runHook("postStart", hook, running))) {
      await this.end(this.options.graceSeconds);
      return;
    }
    if (this.process !== running || this.ending.signal.aborted) return;
    this.prober = new Prober({
      target: this.probeTarget(running),
      log: (line) => log(`${container.name}: ${line}`),
      onStarted: () => {
        this.hasStarted = true;
        this.announceStarted();
        this.options.changed();
      },
      onReady: (ready) => {
        this.ready = ready;
        this.options.changed();
      },
      onUnhealthy: (reason, probe) => {
        log(`${container.name}: ${reason}; restarting it`);
        this.prober?.ending();
        void this.end(probe.terminationGracePeriodSeconds ?? this.options.graceSeconds);
      },
    });
    this.prober.start();
  }

  private async end(graceSeconds: number): Promise<void> {
    const running = this.process;
    if (!running) return;
    const deadline = Date.now() + graceSeconds * 1000;
    if (this.killDeadline !== Number.POSITIVE_INFINITY) {
      // It is being ended already: kill earlier if this call says so, and wait for the end.
      if (deadline < this.killDeadline) {
        await this.killAfter(running, deadline);
      }
      await running.exited;
      return;
    }
    this.killDeadline = deadline;
    const hook = this.options.container.lifecycle?.preStop;
    if (hook && graceSeconds > 0) {
      await Promise.race([this.runHook("preStop", hook, running, deadline), running.exited]);
    }
    if (graceSeconds > 0) running.signal("SIGTERM");
    const killAt = graceSeconds > 0 ? Math.max(deadline, Date.now() + leastGraceMilliseconds) : deadline;
    await this.killAfter(running, killAt);
  }

  private async killAfter(running: ContainerProcess, time: number): Promise<void> {
    this.killDeadline = time;
    const over = new AbortController();
    const wait = sleep(Math.max(0, time - Date.now()), undefined, { signal: over.signal }).catch(
      () => undefined,
    );
    await Promise.race([running.exited, wait]);
    over.abort();
    running.signal("SIGKILL");
    await running.exited;
  }

  /** @returns whether the hook did its work. */
  private async runHook(
    kind: "preStop" | "postStart",
    hook: V1LifecycleHandler,
    running: ContainerProcess,
    deadline = Date.now() + this.options.graceSeconds * 1000,
  ): Promise<boolean> {
    const timeout = Math.max(1, deadline - Date.now());
    if (hook.sleep) {
      await sleep(Math.min(hook.sleep.seconds * 1000, timeout));
      return true;
    }
    const result = await runProbe(hook, this.probeTarget(running), timeout);
    if (!result.healthy)
      this.options.log(`${this.options.container.name}: ${kind} hook failed: ${result.message}`);
    return result.healthy;
  }

  private probeTarget(running: ContainerProcess): ProbeTarget {
    const { container, podAddress } = this.options;
    return { container, podAddress, exec: (command, timeout) => running.exec(command, timeout) };
  }

  private async waitForConfig(error: unknown): Promise<void> {
    const message = errorText(error);
    const reason = error instanceof ContainerConfigError ? error.reason : "CreateContainerError";
    if (this.state.waiting?.message !== message)
      this.options.log(`${this.options.container.name}: ${reason}: ${message}`);
    this.setState({ waiting: { reason, message } });
    await this.pause(configRetryMilliseconds);
  }

  /** The first restart comes at once, each further one after a wait that doubles. */
  private async waitBackOff(): Promise<void> {
    const { first, longest } = this.options.backOffSeconds;
    const wait = this.backOff;
    this.backOff = wait === 0 ? first : Math.min(wait * 2, longest);
    this.lastState = this.state;
    if (wait > 0) {
      const message = `back-off ${wait}s restarting failed container=${this.options.container.name}`;
      this.setState({ waiting: { reason: "CrashLoopBackOff", message } });
      await this.pause(wait * 1000);
    }
    if (!this.ending.signal.aborted) this.restartCount += 1;
  }

  private async pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private setState(state: V1ContainerState): void {
    this.state = state;
    this.options.changed();
  }
}

import { setTimeout as sleep } from "node:timers/promises";
import type { V1Probe } from "@kubernetes/client-node";
import { type ProbeTarget, runProbe } from "./probe";
import { ProbeState } from "./probeState";

export interface ProberOptions {
  target: ProbeTarget;
  /** The container counts as started: it has no startup probe, or that one passed. */
  onStarted: () => void;
  onReady: (ready: boolean) => void;
  /** A startup or liveness probe failed for good: the container has to be restarted. */
  onUnhealthy: (reason: string, probe: V1Probe) => void;
  log: (line: string) => void;
}

/** The probes of one run of a container: startup first, then liveness and readiness side by side. */
export class Prober {
  private readonly all = new AbortController();
  private readonly unlessEnding = new AbortController();

  constructor(private readonly options: ProberOptions) {}

  start(): void {
    const { startupProbe } = this.options.target.container;
    if (startupProbe) void this.loop("startup", startupProbe, undefined, this.unlessEnding.signal);
    else this.started();
  }

  /** Readiness goes on while a container ends by its grace period; liveness and startup do not. */
  ending(): void {
    this.unlessEnding.abort();
  }

  stop(): void {
    this.all.abort();
    this.unlessEnding.abort();
  }

  private started(): void {
    if (this.all.signal.aborted) return;
    const { livenessProbe, readinessProbe } = this.options.target.container;
    this.options.onStarted();
    if (livenessProbe) void this.loop("liveness", livenessProbe, true, this.unlessEnding.signal);
    if (readinessProbe) void this.loop("readiness", readinessProbe, false, this.all.signal);
    else this.options.onReady(true);
  }

  private async loop(
    kind: "startup" | "liveness" | "readiness",
    probe: V1Probe,
    initial: boolean | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const state = new ProbeState(probe, initial);
    const period = (probe.periodSeconds ?? 10) * 1000;
    const timeout = (probe.timeoutSeconds ?? 1) * 1000;
    let lastMessage = "";
    let next = Date.now() + (probe.initialDelaySeconds ?? 0) * 1000;
    for (;;) {
      await sleep(Math.max(0, next - Date.now()), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      next = Math.max(next + period, Date.now());
      const result = await runProbe(probe, this.options.target, timeout);
      // The container may have ended while the probe was under way.
      if (aborted(signal)) return;
      const changed = state.record(result.healthy);
      if (!result.healthy && result.message !== lastMessage) {
        this.options.log(`${kind} probe failed: ${result.message}`);
      }
      lastMessage = result.healthy ? "" : result.message;
      if (!changed) continue;
      if (kind === "readiness") this.options.onReady(result.healthy);
      else if (!result.healthy)
        return this.options.onUnhealthy(`${kind} probe failed: ${result.message}`, probe);
      else if (kind === "startup") return this.started();
    }
  }
}

/** A call, since the compiler takes a property read before an await to be the same after it. */
function aborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

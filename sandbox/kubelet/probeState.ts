import type { V1Probe } from "@kubernetes/client-node";

/**
 * Counts a probe's results and turns them into a verdict: it changes only after as many equal results in a row as the
 * probe's thresholds ask for (defaults 1 success, 3 failures).
 */
export class ProbeState {
  private readonly successThreshold: number;
  private readonly failureThreshold: number;
  private lastResult: boolean | undefined;
  private inRow = 0;
  /** undefined until the first verdict, unless an initial one was given. */
  verdict: boolean | undefined;

  constructor(probe: V1Probe, initial?: boolean) {
    this.successThreshold = probe.successThreshold ?? 1;
    this.failureThreshold = probe.failureThreshold ?? 3;
    this.verdict = initial;
  }

  /** @returns whether the verdict is another one now. */
  record(healthy: boolean): boolean {
    this.inRow = healthy === this.lastResult ? this.inRow + 1 : 1;
    this.lastResult = healthy;
    if (this.inRow < (healthy ? this.successThreshold : this.failureThreshold)) return false;
    const changed = this.verdict !== healthy;
    this.verdict = healthy;
    return changed;
  }
}

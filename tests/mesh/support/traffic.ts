import { runFleet } from "../../../sandbox/fleet";
import { Ledger, waitForCounts, type Reconciliation } from "../../../sandbox/ledger";
import type { Platform } from "../../../sandbox/platform";

/** Pods that are gone count too: their counters end where they were scraped last. */
const countsOfAllPods =
  "sum by (vps, region, endpoint, method, code) (max_over_time(vps_requests_total[1h]))";

/** The fleet in a hurry, polling every two seconds, and the ledger of all it has sent. */
export class Traffic {
  private readonly ledger = new Ledger();

  constructor(private readonly platform: Platform) {}

  /** Runs the fleet while something else happens, and half an interval more. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const { target, plan, token } = this.platform;
    const over = new AbortController();
    const { signal } = over;
    const running = runFleet({
      target,
      plan,
      token,
      ledger: this.ledger,
      intervalMilliseconds: 2_000,
      signal,
    });
    try {
      return await work();
    } finally {
      over.abort();
      await running;
    }
  }

  /** Requests sent so far. */
  get sent(): number {
    return this.ledger.counts().reduce((sum, { count }) => sum + count, 0);
  }

  /** Compares everything sent so far with what Prometheus holds. */
  reconcile(deadlineMilliseconds = 60_000): Promise<Reconciliation> {
    const { prometheus } = this.platform;
    return waitForCounts(this.ledger.counts(), () => prometheus.requestCounts(countsOfAllPods), {
      deadlineMilliseconds,
    });
  }
}

import { runFleet } from "../fleet";
import { Ledger, processTotals, reconcile, waitForCounts } from "../ledger";
import type { Reconciliation, SeriesCount } from "../ledger";
import type { Platform } from "../platform";

/** XrayR's minute, in a drill: some 200 requests a second from twelve VPSes. */
const intervalMilliseconds = 200;
/** Far longer than any drill. */
const window = "30m";

/** What one act of a drill came to. */
export interface ActResult extends Reconciliation {
  /** Requests lost and requests counted too often, or under wrong labels: 0 when the counts are exact. */
  readonly off: number;
}

/**
 * Has the whole fleet poll while something happens to the exporter, then waits for the counts to settle and compares what
 * Prometheus read from every exporter process, gone ones included, with what was sent.
 *
 * @param act what happens under load, once the load is steady.
 * @param patienceMilliseconds how long the last records may take to arrive.
 */
export async function underLoad(
  platform: Platform,
  act: (ledger: Ledger) => Promise<void>,
  patienceMilliseconds: number,
): Promise<ActResult> {
  const { target, plan, token, prometheus } = platform;
  const before = await processTotals(prometheus, window);
  const ledger = new Ledger();
  const stopping = new AbortController();
  const { signal } = stopping;
  const fleet = runFleet({ target, plan, token, ledger, signal, intervalMilliseconds });
  try {
    await act(ledger);
  } finally {
    stopping.abort();
    await fleet;
  }
  const read = async () => since(before, await processTotals(prometheus, window));
  const result = await waitForCounts(ledger.counts(), read, {
    deadlineMilliseconds: patienceMilliseconds,
    intervalMilliseconds: 2_000,
    // A scrape interval and more: a batch that was counted twice would turn up here.
    settleMilliseconds: 7_000,
  });
  return { ...result, off: result.lost + result.misattributed };
}

/** The counts of an act alone. */
export function since(before: readonly SeriesCount[], after: readonly SeriesCount[]): SeriesCount[] {
  const { differences } = reconcile(before, after);
  return differences.map(({ ledger, prometheus, ...labels }) => ({ ...labels, count: prometheus - ledger }));
}

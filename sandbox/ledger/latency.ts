import type { LedgerEntry, Sender } from "./ledger";

/** One request as the panel's process saw it. Times are of the monotonic clock, like the ledger's. */
export interface PanelRequest {
  readonly nodeId: string;
  /** Undefined for a page outside the server API. */
  readonly endpoint: string | undefined;
  readonly method: string;
  /** When the request's headers had arrived. */
  readonly startMilliseconds: number;
  /** Just before the answer's last byte was handed over, or when the caller had gone away. */
  readonly endMilliseconds: number;
  /** The caller went away before the answer. */
  readonly aborted: boolean;
}

/** A value of `vps_request_duration_seconds_bucket`. */
export interface BucketCount extends Sender {
  readonly endpoint: string;
  /** Upper bound in seconds; Infinity for `+Inf`. */
  readonly le: number;
  /** Cumulative. */
  readonly count: number;
}

/** A bucket whose count cannot be right. */
export interface LatencyProblem extends BucketCount {
  readonly atLeast: number;
  readonly atMost: number;
}

/** What `checkLatency` found. */
export interface LatencyCheck {
  /** Buckets compared. */
  readonly checked: number;
  /** Buckets for which only one count was possible: how sharp the check was. */
  readonly pinned: number;
  readonly problems: readonly LatencyProblem[];
}

/** The shortest and longest time that the gateway can have measured for one request. */
export interface LatencyBracket extends Sender {
  readonly endpoint: string;
  readonly leastMilliseconds: number;
  /** Infinity when nothing bounds it. */
  readonly mostMilliseconds: number;
}

/**
 * Brackets what the gateway can have measured for each request of the ledger.
 *
 * A request that was answered: the panel's time lies inside the gateway's, and the gateway's inside the
 * client's, so `panel <= gateway <= client`. One that the client gave up: the gateway began no later than
 * the panel and ended no earlier than the client let go, so it took at least `client end - panel start`;
 * and it began no earlier than the client and had ended when the panel saw the caller gone, so at most
 * `panel end - client start`. That needs one clock for both, which the kernel's monotonic one is.
 *
 * XrayR sends nothing that names a single request. The panel's record of it is found by node, endpoint and
 * time; where several fit (the gateway's own retries, a stranger with the same node id), the loosest bound
 * of all is taken, since the right one is among them.
 */
export function bracketLatencies(
  entries: readonly LedgerEntry[],
  panelRequests: readonly PanelRequest[],
): LatencyBracket[] {
  const byCall = new Map<string, PanelRequest[]>();
  for (const request of panelRequests) {
    const list = byCall.get(callKey(request));
    if (list === undefined) byCall.set(callKey(request), [request]);
    else list.push(request);
  }
  return entries.map((entry) => {
    const { vps, region, endpoint } = entry;
    const seen = (byCall.get(callKey(entry)) ?? []).filter(
      ({ startMilliseconds: start }) => start >= entry.startMilliseconds && start <= entry.endMilliseconds,
    );
    return { vps, region, endpoint, ...(entry.finished ? answered(entry, seen) : givenUp(entry, seen)) };
  });
}

/**
 * Holds the duration histogram against what the two ends measured.
 *
 * Compared are whole milliseconds rounded down, because Envoy's `%DURATION%` is that and the exporter puts
 * exactly that number into a bucket. Rounding all three times down keeps their order, so the bracket still
 * holds; rounding to the nearest would not be what Envoy did, and fractions would exclude right counts.
 *
 * @param buckets as summed over replicas by vps, region, endpoint and le; `+Inf` included.
 */
export function checkLatency(
  entries: readonly LedgerEntry[],
  panelRequests: readonly PanelRequest[],
  buckets: readonly BucketCount[],
): LatencyCheck {
  const groups = new Map<string, { sender: Sender; endpoint: string; brackets: LatencyBracket[] }>();
  const groupOf = ({ vps, region, endpoint }: Sender & { readonly endpoint: string }) => {
    const key = [vps, region, endpoint].join("\n");
    const group = groups.get(key) ?? { sender: { vps, region }, endpoint, brackets: [] };
    groups.set(key, group);
    return group;
  };
  for (const bracket of bracketLatencies(entries, panelRequests)) groupOf(bracket).brackets.push(bracket);
  for (const bucket of buckets) groupOf(bucket);
  const counts = new Map(buckets.map((bucket) => [bucketKey(bucket), bucket.count]));
  const bounds = [...new Set([...buckets.map(({ le }) => le), Infinity])].sort((a, b) => a - b);

  let checked = 0;
  let pinned = 0;
  const problems: LatencyProblem[] = [];
  for (const { sender, endpoint, brackets } of groups.values()) {
    for (const le of bounds) {
      const fits = (milliseconds: number) => Math.floor(milliseconds) / 1_000 <= le;
      const atLeast = brackets.filter(({ mostMilliseconds }) => fits(mostMilliseconds)).length;
      const atMost = brackets.filter(({ leastMilliseconds }) => fits(leastMilliseconds)).length;
      const count = counts.get(bucketKey({ ...sender, endpoint, le })) ?? 0;
      checked += 1;
      if (atLeast === atMost) pinned += 1;
      if (count < atLeast || count > atMost)
        problems.push({ ...sender, endpoint, le, count, atLeast, atMost });
    }
  }
  return { checked, pinned, problems };
}

/** One line for people: `jp-001 user le=0.5: 3 requests counted, at least 4 and at most 6 are possible`. */
export function describeLatencyProblem({
  vps,
  endpoint,
  le,
  count,
  atLeast,
  atMost,
}: LatencyProblem): string {
  const bound = le === Infinity ? "+Inf" : String(le);
  return `${vps} ${endpoint} le=${bound}: ${count} requests counted, at least ${atLeast} and at most ${atMost} are possible`;
}

type Bounds = Pick<LatencyBracket, "leastMilliseconds" | "mostMilliseconds">;

function answered(entry: LedgerEntry, seen: readonly PanelRequest[]): Bounds {
  const inside = seen.filter(
    ({ aborted, endMilliseconds }) => !aborted && endMilliseconds <= entry.endMilliseconds,
  );
  const durations = inside.map(
    ({ startMilliseconds, endMilliseconds }) => endMilliseconds - startMilliseconds,
  );
  return {
    // None: the gateway answered without asking the panel.
    leastMilliseconds: durations.length === 0 ? 0 : Math.min(...durations),
    mostMilliseconds: entry.endMilliseconds - entry.startMilliseconds,
  };
}

function givenUp(entry: LedgerEntry, seen: readonly PanelRequest[]): Bounds {
  if (seen.length === 0) return { leastMilliseconds: 0, mostMilliseconds: Infinity };
  const latestStart = Math.max(...seen.map(({ startMilliseconds }) => startMilliseconds));
  const latestEnd = Math.max(...seen.map(({ endMilliseconds }) => endMilliseconds));
  return {
    leastMilliseconds: entry.endMilliseconds - latestStart,
    mostMilliseconds: latestEnd - entry.startMilliseconds,
  };
}

function callKey({ nodeId, endpoint, method }: Pick<PanelRequest, "nodeId" | "endpoint" | "method">): string {
  return [nodeId, endpoint, method].join("\n");
}

function bucketKey({ vps, region, endpoint, le }: Omit<BucketCount, "count">): string {
  return [vps, region, endpoint, le].join("\n");
}

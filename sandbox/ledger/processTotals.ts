import type { SeriesCount } from "./ledger";
import { seriesKey } from "./ledger";
import type { PrometheusClient, SampledSeries } from "./prometheus";

const startMetric = "vpsight_exporter_process_start_time_seconds";

/**
 * Requests over all exporter processes that Prometheus scraped within the window, those that are gone included: for each
 * process and series the last value that was read. `sum(vps_requests_total)` would forget a pod five minutes after its
 * end, and `increase` extrapolates; neither is exact.
 *
 * @param window such as `20m`; must reach back to before the first request.
 */
export async function processTotals(prometheus: PrometheusClient, window: string): Promise<SeriesCount[]> {
  const [starts, requests] = await Promise.all([
    prometheus.ranges(`${startMetric}[${window}]`),
    prometheus.ranges(`vps_requests_total[${window}]`),
  ]);
  return sumOverProcesses(starts, requests);
}

/**
 * A container that starts again keeps its pod's labels, and a small counter may be past its old value by the next
 * scrape: processes are told apart by their start time, which is of the same scrape.
 */
export function sumOverProcesses(
  starts: readonly SampledSeries[],
  requests: readonly SampledSeries[],
): SeriesCount[] {
  const startOf = new Map<string, number>();
  for (const { labels, samples } of starts) {
    for (const [time, start] of samples) startOf.set(`${targetOf(labels)} ${time}`, start);
  }
  const sums = new Map<string, SeriesCount>();
  for (const { labels, samples } of requests) {
    const last = new Map<number | undefined, number>();
    for (const [time, value] of samples) last.set(startOf.get(`${targetOf(labels)} ${time}`), value);
    const [vps = "", region = "", endpoint = "", method = "", code = ""] = [
      ...[labels["vps"], labels["region"], labels["endpoint"], labels["method"], labels["code"]],
    ];
    const series = { vps, region, endpoint, method, code };
    const key = seriesKey(series);
    const count = [...last.values()].reduce((sum, value) => sum + value, sums.get(key)?.count ?? 0);
    sums.set(key, { ...series, count });
  }
  return [...sums.values()];
}

const targetOf = (labels: Readonly<Record<string, string>>) => `${labels["pod"]} ${labels["instance"]}`;

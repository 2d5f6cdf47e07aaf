import { quantiles, recorded, failed, known, type Quantile } from "./recorded";
import { recording, type Rule, type RuleGroup } from "./rule";
import { thresholds } from "./thresholds";

const { rate, errors } = thresholds.windows;
const levels = [
  { series: recorded.vps, by: "vps, region" },
  { series: recorded.region, by: "region" },
  { series: recorded.fleet, by: "" },
] as const;

/** Rate, errors and latency of each VPS, region, and the fleet: each level is made from the one below, so the raw series are read once. */
export function fleetRecordings(): RuleGroup[] {
  const [vps, region, fleet] = levels.map(({ series }, level) => {
    const below = levels[level - 1]?.series;
    const by = levels[level]?.by ?? "";
    const sum = (raw: string, recordedBelow: string | undefined) =>
      `sum by (${by}) (${recordedBelow ?? raw})`;
    const buckets = `sum by (${by === "" ? "le" : `${by}, le`}) (${below?.durationBuckets ?? `rate(vps_request_duration_seconds_bucket{${known}}[${errors}])`})`;
    return [
      recording(series.requests, sum(`rate(vps_requests_total{${known}}[${rate}])`, below?.requests)),
      recording(
        series.requestsLong,
        sum(`rate(vps_requests_total{${known}}[${errors}])`, below?.requestsLong),
      ),
      // Who never failed has no series with such a code: that is 0, and not nothing.
      recording(
        series.errors,
        sum(
          `rate(vps_requests_total{${known},${failed}}[${errors}]) or ${series.requestsLong} * 0`,
          below?.errors,
        ),
      ),
      recording(series.errorRatio, `${series.errors} / (${series.requestsLong} > 0)`),
      recording(series.durationBuckets, buckets),
      ...(Object.keys(quantiles) as Quantile[]).map((quantile) =>
        recording(
          series.duration(quantile),
          `histogram_quantile(${quantiles[quantile]}, ${series.durationBuckets})`,
        ),
      ),
    ];
  });
  return [
    { name: "vpsight-vps", rules: vps ?? [] },
    { name: "vpsight-region", rules: [...(region ?? []), ...(fleet ?? []), ...unknownRecordings()] },
  ];
}

function unknownRecordings(): Rule[] {
  return [recording(recorded.unknown.requests, `sum(rate(vps_requests_total{vps="unknown"}[${rate}]))`)];
}

/**
 * The PromQL of the dashboards. An idle VPS asks twice a minute, so rates look back 5 minutes and error
 * ratios 15: a shorter window would swing between nothing and everything.
 */
export const windows = { rate: "5m", errors: "15m" } as const;

/** What the variables at the top of the dashboard have selected. */
const selected = 'region=~"$region",vps=~"$vps"';

/** Every VPS of the inventory; `unknown` is the bucket of all other callers. */
const known = 'vps!="unknown"';

/** 304 is success; the client that went away before an answer (code 0) is an error. */
export const failed = 'code=~"0|4..|5.."';

export const queries = {
  /** Requests per second of each VPS. */
  rateByVps: `sum by (vps, region) (rate(vps_requests_total{${selected}}[${windows.rate}]))`,

  /** 0 to 1, of each VPS. */
  errorRatioByVps: [
    `sum by (vps, region) (rate(vps_requests_total{${selected},${failed}}[${windows.errors}]))`,
    `/ sum by (vps, region) (rate(vps_requests_total{${selected}}[${windows.errors}]))`,
  ].join("\n"),

  /** Seconds, of each VPS. */
  latencyByVps: (quantile: number) =>
    [
      `histogram_quantile(${quantile},`,
      `  sum by (vps, region, le) (rate(vps_request_duration_seconds_bucket{${selected}}[${windows.rate}])))`,
    ].join("\n"),

  /** Seconds since each VPS was heard; one that never was has no value (its timestamp is 0). */
  silenceByVps: [
    `time() - (max by (vps, region) (vps_last_request_timestamp_seconds{${selected},${known}}) > 0)`,
  ].join("\n"),

  /** How many VPSes of the inventory were heard in the rate window, and how many there are. */
  heard: `count(sum by (vps) (increase(vps_requests_total{${selected},${known}}[${windows.rate}])) > 0) or vector(0)`,
  inventory: `count(count by (vps) (vps_info{${selected}}))`,

  /** Requests per second of all callers outside the inventory. */
  unknownRate: `sum(rate(vps_requests_total{vps="unknown"}[${windows.rate}]))`,
} as const;

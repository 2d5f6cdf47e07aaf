import { thresholds } from "./thresholds";

const { rate, errors } = thresholds.windows;

/** The quantiles of the latency that are recorded. */
export const quantiles = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;
export type Quantile = keyof typeof quantiles;

/** What is recorded of a VPS (labels vps, region), of a region (region) and of the fleet (no labels). */
const levelsOf = (level: "vps" | "region" | "fleet") => ({
  /** Requests per second. */
  requests: `${level}:requests:rate${rate}`,
  /** 0 to 1: 4xx, 5xx and callers that went away before an answer. */
  errorRatio: `${level}:errors:ratio${errors}`,
  /** Requests and failed ones per second over the window of the ratio. */
  requestsLong: `${level}:requests:rate${errors}`,
  errors: `${level}:errors:rate${errors}`,
  /** Requests per second and bucket (label le). */
  durationBuckets: `${level}:duration_seconds_bucket:rate${errors}`,
  /** Seconds. */
  duration: (quantile: Quantile) => `${level}:duration_seconds:${quantile}_${errors}`,
});

/**
 * The names of the recorded series: `level:metric:operation`, as Prometheus' own guide has it. Dashboards and alerts read
 * these. None counts callers outside the inventory except `unknown…` and `gateway…`.
 * https://prometheus.io/docs/practices/rules/#naming-and-aggregation
 */
export const recorded = {
  vps: {
    ...levelsOf("vps"),
    /** 1 for each VPS that is in service: `state` is neither paused nor retired. */
    active: "vps:active:info",
    /** Seconds since 1970; unlike the exporter's own gauge it outlives the exporter's restarts. Absent: never heard. */
    lastRequest: "vps:last_request:timestamp_seconds",
    /** Seconds since the last request. */
    silence: "vps:silence:seconds",
    /** Seconds since the last request, of those that are silent for too long. */
    silent: "vps:silent:seconds",
    /** Error ratio of those that fail too often. */
    failing: "vps:failing:ratio",
    /** p95 in seconds of those that are too slow. */
    slow: "vps:slow:seconds",
  },
  region: {
    ...levelsOf("region"),
    /** VPSes in service; those of them that are silent; silent, failing or slow. */
    total: "region:vps:total",
    silent: "region:vps:silent",
    bad: "region:vps:bad",
    /** Requests and failed ones per second of VPSes in service, from which the error budget's windows are averaged. */
    budgetRequests: `region:slo_requests:rate${rate}`,
    budgetErrors: `region:slo_errors:rate${rate}`,
    /** Share of failed requests over a window, of VPSes in service. */
    budgetRatio: (window: string) => `region:slo_errors:ratio_rate${window}`,
  },
  fleet: {
    ...levelsOf("fleet"),
    total: "fleet:vps:total",
    silent: "fleet:vps:silent",
    /** The objective in force, 0 to 1, which `rules.objective` sets. */
    objective: "fleet:slo_objective:ratio",
  },
  unknown: { requests: `unknown:requests:rate${rate}` },
  gateway: {
    /** Connections per second with a PROXY header, and without one. */
    found: `gateway:proxy_protocol_found:rate${rate}`,
    missing: `gateway:proxy_protocol_missing:rate${rate}`,
    /** Always 1; the label stage says which stage of PROXY protocol is deployed. */
    stage: "gateway:proxy_protocol_stage:info",
    /** Requests per second from private addresses outside the inventory. */
    privateCallers: `gateway:private_callers:rate${rate}`,
  },
} as const;

/** PromQL selector of what counts as an error; 304 is a success, code 0 a caller that went away before an answer. */
export const failed = 'code=~"0|4..|5.."';
/** Everybody in the inventory. */
export const known = 'vps!="unknown"';

/**
 * Every threshold and window of the rules, once: expression, text and test read it from here. Windows suit a fleet
 * that polls once a minute; `for` is how long a condition must hold before it alerts.
 */
export const thresholds = {
  /** Windows that the recorded series look back; their names end in them. An idle VPS asks twice a minute. */
  windows: { rate: "5m", errors: "15m" },
  silent: {
    /** Longer than any VPS's first poll after an exporter was away, so that nobody is silent only because nobody counted. */
    for: "5m",
  },
  neverSeen: { for: "30m" },
  errors: { for: "5m" },
  latency: { for: "10m" },
  /** An error ratio or latency of fewer requests in `windows.errors` says nothing: an idle VPS makes 30. */
  leastRequests: 10,
  region: {
    /** So many VPSes, and so large a share of the region, are the region's trouble and not each VPS's own. */
    leastVps: 3,
    leastShare: 0.3,
    /** Shorter than any alert about one VPS, so that it comes first and those stay away. */
    for: "4m",
  },
  unknown: {
    window: "15m",
    /** Requests per second below which nobody cares … */
    leastRate: 0.5,
    /** … and how many times the average of the hours before. */
    growth: 4,
    before: "6h",
    for: "15m",
  },
  mismatch: { window: "15m", for: "5m" },
  privateCallers: {
    window: "5m",
    /** Share of all records: the health checks of something inside the VPC stay below. */
    leastShare: 0.1,
    for: "5m",
  },
  gatewayConfig: { window: "15m" },
  /**
   * Burn rates of the error budget, after the SRE workbook: both windows must burn so many times faster than the budget
   * lasts. https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts
   */
  burn: [
    { name: "RegionErrorBudgetBurnFast", long: "1h", short: "5m", factor: 14.4, severity: "critical" },
    { name: "RegionErrorBudgetBurn", long: "6h", short: "30m", factor: 6, severity: "critical" },
    { name: "RegionErrorBudgetBurnSlow", long: "1d", short: "2h", factor: 3, severity: "warning" },
  ],
  completeness: {
    window: "30m",
    /**
     * Below this share of the expected records. New exporter pods hide their first scrape interval from `increase`: 15 s of 30
     * minutes are 0.8 % for a rolling update, 1 to 2 % in bad luck, and no loss.
     */
    leastRatio: 0.95,
    /** Fewer records than this in the window say nothing. */
    leastRecords: 100,
    for: "10m",
  },
  dropped: { window: "15m" },
  unmeasured: { for: "15m" },
  exporterDown: { for: "2m" },
  inventoryStale: { for: "15m" },
} as const;

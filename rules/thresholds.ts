/**
 * Every threshold and window of the rules, once: expression, text and test read it from here. Windows suit a fleet
 * that polls once a minute; `for` is how long a condition must hold before it alerts.
 */
export const thresholds = {
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

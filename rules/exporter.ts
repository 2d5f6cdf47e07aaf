import { alert, type RuleGroup, type RuleSettings } from "./rule";
import { thresholds } from "./thresholds";

/** Whether the exporter does its work. */
export function exporterRules(settings: RuleSettings): RuleGroup {
  const { exporterDown, inventoryStale } = thresholds;
  return {
    name: "vpsight-exporter",
    rules: [
      alert(settings, {
        name: "ExporterDown",
        // Not `up`: which job an exporter belongs to depends on how Prometheus finds it.
        expression: "absent(vpsight_exporter_build_info)",
        for: exporterDown.for,
        severity: "critical",
        summary: "No exporter is scraped.",
        description:
          `Prometheus has read no exporter for ${exporterDown.for}: there are no metrics of the fleet, and the gateway keeps ` +
          "records for about two minutes only.",
      }),
      alert(settings, {
        name: "InventoryStale",
        expression: "min by (source) (vpsight_exporter_inventory_last_load_ok) == 0",
        for: inventoryStale.for,
        severity: "warning",
        summary: "The inventory in force is an old one.",
        description:
          `The inventory from the source "{{ $labels.source }}" has been unreadable or wrong for ${inventoryStale.for}; the last good ` +
          "one stays in force. VPSes that were added or moved since are unknown.",
      }),
    ],
  };
}

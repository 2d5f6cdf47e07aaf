import type { SeriesCount, SeriesLabels } from "./ledger";
import { seriesKey } from "./ledger";

/** A series that the ledger and Prometheus disagree about. */
export interface SeriesDifference extends SeriesLabels {
  /** What was sent. */
  readonly ledger: number;
  /** What was counted. */
  readonly prometheus: number;
}

/** The ledger held against Prometheus. */
export interface Reconciliation {
  /** A: requests counted under exactly the labels they were sent with. */
  readonly matched: number;
  /** B: requests sent. */
  readonly sent: number;
  /** C: requests sent and counted nowhere. */
  readonly lost: number;
  /** D: requests counted under labels that nobody sent them with. */
  readonly misattributed: number;
  /** A = B and C = D = 0. */
  readonly complete: boolean;
  /** Series that differ, sorted by labels. */
  readonly differences: readonly SeriesDifference[];
}

/**
 * Compares counts series by series over vps, region, endpoint, method and code.
 *
 * What Prometheus has too much is misattributed: it was either sent under other labels, or never sent in
 * scope at all (a panel user's page that slipped in). What it has too little is explained by the surplus
 * first; only the rest is lost. Series at 0 mean the same as absent ones.
 *
 * @throws {RangeError} when a count is not a whole number: a sum over scrapes of a counter always is one.
 */
export function reconcile(
  ledger: readonly SeriesCount[],
  prometheus: readonly SeriesCount[],
): Reconciliation {
  const series = new Map<string, { labels: SeriesLabels; ledger: number; prometheus: number }>();
  const add = (counts: readonly SeriesCount[], side: "ledger" | "prometheus") => {
    for (const { count, vps, region, endpoint, method, code } of counts) {
      const labels = { vps, region, endpoint, method, code };
      if (!Number.isInteger(count) || count < 0) {
        throw new RangeError(
          `${describeSeries(labels)} has the count ${count} in ${side}; counts are whole numbers`,
        );
      }
      const key = seriesKey(labels);
      const entry = series.get(key) ?? { labels, ledger: 0, prometheus: 0 };
      entry[side] += count;
      series.set(key, entry);
    }
  };
  add(ledger, "ledger");
  add(prometheus, "prometheus");

  let matched = 0;
  let sent = 0;
  let surplus = 0;
  let missing = 0;
  for (const entry of series.values()) {
    sent += entry.ledger;
    matched += Math.min(entry.ledger, entry.prometheus);
    surplus += Math.max(0, entry.prometheus - entry.ledger);
    missing += Math.max(0, entry.ledger - entry.prometheus);
  }
  const lost = Math.max(0, missing - surplus);
  const differences = [...series.entries()]
    .filter(([, entry]) => entry.ledger !== entry.prometheus)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { labels, ...counts }]) => ({ ...labels, ...counts }));
  return {
    matched,
    sent,
    lost,
    misattributed: surplus,
    complete: matched === sent && lost === 0 && surplus === 0,
    differences,
  };
}

/** The closing line of a bounded run. */
export function reconciliationLine({ matched, sent, lost, misattributed }: Reconciliation): string {
  return `reconciled: ${matched} of ${sent} requests, ${lost} lost, ${misattributed} misattributed`;
}

/** The differing series as an aligned table, one line each with a heading; empty text when there are none. */
export function differenceTable({ differences }: Reconciliation): string {
  if (differences.length === 0) return "";
  const rows = [
    ["VPS", "REGION", "ENDPOINT", "METHOD", "CODE", "SENT", "COUNTED", "DIFFERENCE"],
    ...differences.map((row) => {
      const difference = row.prometheus - row.ledger;
      const sign = difference > 0 ? "+" : "";
      return [
        ...[row.vps, row.region, row.endpoint, row.method, row.code],
        ...[String(row.ledger), String(row.prometheus), `${sign}${difference}`],
      ];
    }),
  ];
  const firstNumber = 5;
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column < firstNumber ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function describeSeries({ vps, endpoint, method, code }: SeriesLabels): string {
  return `{vps="${vps}", endpoint="${endpoint}", method="${method}", code="${code}"}`;
}

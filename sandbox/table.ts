/** One line of the live table. A figure that is not known yet is undefined. */
export interface FleetRow {
  vps: string;
  region: string;
  requestsPerSecond?: number | undefined;
  /** 0 to 1. */
  errorRatio?: number | undefined;
  /** Seconds. */
  p50?: number | undefined;
  p95?: number | undefined;
  /** Seconds since the last request. */
  silence?: number | undefined;
}

const columns: readonly { head: string; width: number; right?: true; text: (row: FleetRow) => string }[] = [
  { head: "VPS", width: 10, text: ({ vps }) => vps },
  { head: "REGION", width: 8, text: ({ region }) => region },
  {
    head: "REQ/S",
    width: 7,
    right: true,
    text: ({ requestsPerSecond }) => fixed(requestsPerSecond, 2) ?? "-",
  },
  {
    head: "ERROR",
    width: 8,
    right: true,
    text: ({ errorRatio }) => suffixed(fixed(times(errorRatio, 100), 1), "%"),
  },
  { head: "P50", width: 8, right: true, text: ({ p50 }) => milliseconds(p50) },
  { head: "P95", width: 8, right: true, text: ({ p95 }) => milliseconds(p95) },
  {
    head: "LAST SEEN",
    width: 11,
    right: true,
    text: ({ silence }) => suffixed(fixed(silence, 0), " s ago", "never"),
  },
];

/** The table as lines of text, sorted by region and name, callers outside the inventory last. */
export function renderTable(rows: readonly FleetRow[], colour: boolean): string[] {
  const sorted = [...rows].sort(
    (a, b) => rank(a) - rank(b) || compare(a.region, b.region) || compare(a.vps, b.vps),
  );
  const head = columns.map(({ head, width, right }) => pad(head, width, right)).join(" ");
  return [bold(head, colour), ...sorted.map((row) => tint(line(row), row, colour))];
}

function line(row: FleetRow): string {
  return columns.map(({ width, right, text }) => pad(text(row), width, right)).join(" ");
}

const rank = ({ vps }: FleetRow) => (vps === "unknown" ? 1 : 0);
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const pad = (text: string, width: number, right?: true) =>
  right ? text.padStart(width) : text.padEnd(width);
const known = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value);
const times = (value: number | undefined, factor: number) => (known(value) ? value * factor : undefined);
const fixed = (value: number | undefined, digits: number) =>
  known(value) ? value.toFixed(digits) : undefined;
const suffixed = (text: string | undefined, suffix: string, otherwise = "-") =>
  text === undefined ? otherwise : `${text}${suffix}`;

function milliseconds(seconds: number | undefined): string {
  return known(seconds) ? `${Math.round(seconds * 1000)} ms` : "-";
}

const bold = (text: string, colour: boolean) => (colour ? `\u001b[1m${text}\u001b[0m` : text);

/** Red where most requests fail, yellow where some do, dim where nothing is heard. */
function tint(text: string, row: FleetRow, colour: boolean): string {
  if (!colour) return text;
  if (!known(row.requestsPerSecond) || row.requestsPerSecond === 0) return `\u001b[2m${text}\u001b[0m`;
  if ((row.errorRatio ?? 0) > 0.5) return `\u001b[31m${text}\u001b[0m`;
  return (row.errorRatio ?? 0) > 0 ? `\u001b[33m${text}\u001b[0m` : text;
}

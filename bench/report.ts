import type { Goal, Results } from "./results";

/** The tables of a run, as lines of text. */
export function renderReport(results: Results, goals: readonly Goal[]): string[] {
  const own = results.counting.find(({ name }) => name === "exporter");
  return [
    `Counting access records (CPU time, one core each, the same recorded requests of a real Envoy)`,
    ...columns(
      ["", "records per CPU-second", "vpsight is faster by", "memory", "counted"],
      results.counting.map(({ title, recordsPerCpuSecond, residentMiB, sent, counted }) => [
        title,
        grouped(recordsPerCpuSecond),
        own === undefined ? "-" : `${(own.recordsPerCpuSecond / recordsPerCpuSecond).toFixed(2)} x`,
        `${residentMiB.toFixed(0)} MiB`,
        `${grouped(counted)} of ${grouped(sent)}`,
      ]),
    ),
    "",
    "Gateway (Envoy on one core, the same load)",
    ...columns(
      ["", "CPU per request", "to no log", "p50", "p99"],
      results.gateway.variants.map(({ title, cpu, ratioToNone, p50Ms, p99Ms }) => [
        title,
        `${cpu.toFixed(1)} µs`,
        `${ratioToNone.toFixed(3)} x`,
        `${p50Ms.toFixed(2)} ms`,
        `${p99Ms.toFixed(2)} ms`,
      ]),
    ),
    "",
    "Goals",
    ...columns(
      ["", "measured", "goal", ""],
      goals.map(({ name, value, bound, limit, met }) => [
        name,
        value.toFixed(3),
        `${bound === "atLeast" ? "at least" : "at most"} ${Number(limit.toFixed(1)) === limit ? limit : limit.toFixed(2)}`,
        met ? "met" : "NOT MET",
      ]),
    ),
  ];
}

/** Rows under a head, the first column to the left and the others to the right. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return all.map((row) => `  ${row.map(cell).join("  ")}`.trimEnd());
}

const grouped = (value: number) => Math.round(value).toLocaleString("en-GB");

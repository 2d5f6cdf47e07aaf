import type { Results } from "./results";

interface Bar {
  label: string;
  value: number;
  /** Written after the bar. */
  text: string;
  own: boolean;
}

const size = { width: 760, labels: 290, bar: 18, row: 28, title: 40, values: 130 };

/**
 * The run as a picture of two bar charts. Colours follow the reader's light or dark setting; the background stays the
 * page's.
 */
export function renderChart(results: Results): string {
  const counting = results.counting.map(({ name, title, recordsPerCpuSecond }) => ({
    label: title,
    value: recordsPerCpuSecond,
    text: `${Math.round(recordsPerCpuSecond / 1e3).toLocaleString("en-GB")} k`,
    own: name === "exporter",
  }));
  const gateway = results.gateway.variants.map(({ name, title, cpu, ratioToNone }) => ({
    label: title,
    value: cpu,
    text: `${cpu.toFixed(1)} µs (${ratioToNone.toFixed(3)} x)`,
    own: name === "both" || name === "otlp" || name === "outOfScope",
  }));
  const first = section("Access records counted per CPU-second (more is better)", counting, 0);
  const second = section("Envoy's CPU time per request (less is better)", gateway, first.height + 16);
  const height = first.height + second.height + 16;
  const { envoy, otelCollector, mtail, node } = results.versions;
  const rough = results.run === "quick" ? "rough figures of a quick run, " : "";
  const foot = `${rough}${results.date.slice(0, 10)}, one core each: Node ${node}, Collector ${otelCollector}, mtail ${mtail}, Envoy ${envoy}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height + 30}" role="img" aria-label="vpsight's measurements">
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .foot { font-size: 11px; fill: #57606a; }
  .own { fill: #1a7f37; }
  .other { fill: #8c959f; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .foot { fill: #8d96a0; }
    .own { fill: #3fb950; }
    .other { fill: #6e7681; }
  }
</style>
${first.lines.join("\n")}
${second.lines.join("\n")}
<text class="foot" x="0" y="${height + 18}">${escape(foot)}</text>
</svg>
`;
}

function section(title: string, bars: readonly Bar[], top: number): { lines: string[]; height: number } {
  const most = Math.max(...bars.map(({ value }) => value));
  const room = size.width - size.labels - size.values;
  const lines = bars.flatMap(({ label, value, text, own }, index) => {
    const y = top + size.title + index * size.row;
    const width = Math.max(1, (value / most) * room);
    return [
      `<text x="${size.labels - 10}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
      `<rect class="${own ? "own" : "other"}" x="${size.labels}" y="${y}" width="${width.toFixed(1)}" height="${size.bar}" rx="2"/>`,
      `<text x="${(size.labels + width + 8).toFixed(1)}" y="${y + 14}">${escape(text)}</text>`,
    ];
  });
  const head = `<text class="title" x="0" y="${top + 20}">${escape(title)}</text>`;
  return { lines: [head, ...lines], height: size.title + bars.length * size.row };
}

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

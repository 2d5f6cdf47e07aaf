import type { KialiCheck, VpsEdge } from "./check";

/** What is drawn: the VPSes' edges, and the gateway's own. */
export interface PictureData {
  readonly check: Pick<KialiCheck, "edges">;
  readonly panelEdge: { readonly withVpses: number };
}

const row = 34;
const boxPadding = 26;
const left = { x: 24, width: 150 };
const gatewayAt = 560;
const panelAt = 800;

/** Red from 15 % errors on, yellow with any, as Kiali colours by default when it is 5xx or no answer. */
const colourOf = (ratio: number) => (ratio >= 0.15 ? "#c9190b" : ratio > 0 ? "#f0ab00" : "#3e8635");

/** The graph as an SVG picture: a box per region, a node per VPS, on each edge its rate, errors and response time. */
export function drawGraph({ check, panelEdge }: PictureData): string {
  const regions = [...new Set(check.edges.map(({ region }) => region))].sort();
  const parts: string[] = [];
  let y = 40;
  const ends: { edge: VpsEdge; y: number }[] = [];
  for (const region of regions) {
    const members = check.edges.filter((edge) => edge.region === region);
    const height = members.length * row + boxPadding;
    parts.push(
      `<rect x="${left.x}" y="${y}" width="${left.width}" height="${height}" rx="8" fill="#f0f0f0" stroke="#8a8d90"/>`,
      text(left.x + left.width / 2, y + height - 8, `edge-${region}`, "middle", "bold"),
    );
    members.forEach((edge, index) => ends.push({ edge, y: y + 20 + index * row }));
    y += height + 16;
  }
  const middle = (y + 24) / 2;
  for (const { edge, y: from } of ends) {
    const colour = colourOf(edge.errorRatio);
    const label = `${edge.rate.toFixed(2)} rps, ${(edge.errorRatio * 100).toFixed(1)} %, ${milliseconds(edge.latency)}`;
    parts.push(
      `<path d="M${left.x + 34} ${from} H${left.x + left.width + 190} L${gatewayAt - 14} ${middle}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      `<circle cx="${left.x + 26}" cy="${from}" r="9" fill="#fff" stroke="${colour}" stroke-width="2"/>`,
      text(left.x + 42, from - 5, edge.vps),
      text(left.x + left.width + 12, from - 5, label),
    );
  }
  parts.push(
    `<path d="M${gatewayAt + 14} ${middle} H${panelAt - 14}" fill="none" stroke="#3e8635" stroke-width="2"/>`,
    text((gatewayAt + panelAt) / 2, middle - 8, `${panelEdge.withVpses.toFixed(2)} rps`, "middle"),
  );
  for (const [x, name] of [
    [gatewayAt, "istio-ingressgateway"],
    [panelAt, "airport-xboard"],
  ] as const) {
    parts.push(
      `<circle cx="${x}" cy="${middle}" r="14" fill="#fff" stroke="#151515" stroke-width="2"/>`,
      text(x, middle + 32, name, "middle", "bold"),
    );
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 ${y + 8}" font-family="sans-serif" font-size="12" role="img" aria-label="Each VPS with its edge to the ingress gateway">`,
    `<rect width="900" height="${y + 8}" fill="#fff"/>`,
    text(left.x, 24, "edge-nodes", "start", "bold"),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

const milliseconds = (value: number | undefined) => (value === undefined ? "" : `${value.toFixed(0)} ms`);

function text(x: number, y: number, content: string, anchor = "start", weight = "normal"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-weight="${weight}" fill="#151515">${content}</text>`;
}

import { parseRange } from "../../exporter/identify/address";
import type { Inventory, Vps } from "../../exporter/identify/inventory";

/** A large fleet without the time that YAML takes: each VPS has an IPv4 address and an IPv6 block. */
export function createFleet(size: number): Inventory {
  const vps = Array.from({ length: size }, (_, index): Vps => {
    const texts = [`10.${index >> 8}.${index & 255}.1`, `2001:db8:${index.toString(16)}::/64`];
    const ranges = texts.map(parseRange).filter((range) => typeof range !== "string");
    const addresses = ranges.map(({ text }) => text);
    return {
      name: `vps-${index}`,
      region: "jp",
      addresses,
      ranges,
      nodeIds: [],
      provider: "",
      labels: {},
      state: "active",
    };
  });
  return { source: "test", vps };
}

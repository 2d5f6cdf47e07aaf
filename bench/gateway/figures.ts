import { median, pairedMedian, type Results } from "../results";
import type { GatewayTurns } from "./measure";
import type { Variant } from "./variants";

/**
 * The gateway's figures from the turns of each variant. Differences and ratios are taken within a round and their median
 * over the rounds: the machine's drift from round to round is in neither.
 */
export function figuresOf(variants: readonly Variant[], turns: GatewayTurns): Results["gateway"] {
  const cpu = (name: string) => turns.cpu.get(name) ?? [];
  const p50 = (name: string) => turns.latencies.get(name)?.map((latencies) => latencies.p50) ?? [];
  const p99 = (name: string) => turns.latencies.get(name)?.map((latencies) => latencies.p99) ?? [];
  const ratio = (left: number, right: number) => left / right;
  const difference = (left: number, right: number) => left - right;
  const added = (name: string) => pairedMedian(cpu(name), cpu("none"), difference);
  return {
    ratioToIstioJson: pairedMedian(cpu("both"), cpu("istioJson"), ratio),
    addedRatioToIstioJson: added("both") / added("istioJson"),
    outOfScopeAdded: pairedMedian(cpu("outOfScope"), cpu("none"), ratio) - 1,
    addedP99Ms: pairedMedian(p99("both"), p99("none"), difference),
    variants: variants.map(({ name, title }) => ({
      ...{ name, title, cpu: median(cpu(name)) },
      ratioToNone: pairedMedian(cpu(name), cpu("none"), ratio),
      p50Ms: median(p50(name)),
      p99Ms: median(p99(name)),
    })),
  };
}

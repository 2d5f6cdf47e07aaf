import { median, pairedMedian, type Results } from "../results";
import type { Turn } from "./measure";
import type { Variant } from "./variants";

/**
 * The gateway's figures from the turns of each variant. Differences and ratios are taken within a round and their median
 * over the rounds: the machine's drift from round to round is in neither.
 */
export function figuresOf(
  variants: readonly Variant[],
  turns: ReadonlyMap<string, readonly Turn[]>,
): Results["gateway"] {
  const of = (name: string, pick: (turn: Turn) => number) => (turns.get(name) ?? []).map(pick);
  const cpu = (name: string) => of(name, (turn) => turn.cpu);
  const p99 = (name: string) => of(name, (turn) => turn.p99);
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
      p50Ms: median(of(name, (turn) => turn.p50)),
      p99Ms: median(p99(name)),
    })),
  };
}

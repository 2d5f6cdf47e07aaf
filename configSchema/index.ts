import type { z } from "zod";
import { accessLog } from "./accessLog";
import { cluster, namespace } from "./cluster";
import { dashboards } from "./dashboards";
import { exporter } from "./exporter";
import { section } from "./fields";
import { fleet } from "./fleet";
import { clientAddress, gateway, proxyProtocol } from "./gateway";
import { kiali } from "./kiali";
import { monitoring, rules } from "./monitoring";
import { retired } from "./retired";

/**
 * The shape of a stack's config. Every `error` text ends the sentence "must be …"; `config.ts` adds the
 * property, the value and where to fix it. Defaults stand here and nowhere else; `Pulumi.yaml` describes
 * the same keys for people.
 */
export const configSchema = section({
  cluster,
  namespace,
  gateway,
  fleet,
  proxyProtocol,
  clientAddress,
  accessLog,
  exporter,
  monitoring,
  rules,
  dashboards,
  kiali,
  retired,
}).superRefine(({ exporter: { drainSeconds }, monitoring: { scrapeInterval } }, context) => {
  const least = leastDrainSeconds(scrapeInterval);
  if (drainSeconds >= least) return;
  context.addIssue({
    code: "custom",
    path: ["exporter", "drainSeconds"],
    input: drainSeconds,
    message: `at least ${least} with monitoring.scrapeInterval ${scrapeInterval}, so that Prometheus reads an ending pod once more`,
  });
});

/** One scrape interval and one scrape, for which Prometheus takes at most 10 s and never more than the interval. */
function leastDrainSeconds(scrapeInterval: string): number {
  const [, amount = "", unit = ""] = /^(\d+)(ms|s|m)$/.exec(scrapeInterval) ?? [];
  const seconds = Number(amount) * ({ ms: 0.001, s: 1, m: 60 }[unit] ?? 1);
  return Math.ceil(seconds + Math.min(10, seconds));
}

export type ConfigValues = z.output<typeof configSchema>;
export type RetiredObject = ConfigValues["retired"][number];
export { stages, type Stage } from "./gateway";
export { retirableKinds } from "./retired";

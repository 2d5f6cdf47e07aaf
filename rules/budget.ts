import { failed, known, recorded } from "./recorded";
import { alert, recording, type RuleGroup, type RuleSettings } from "./rule";
import { thresholds } from "./thresholds";

const { fleet, region, vps } = recorded;
const { rate } = thresholds.windows;

/** The error budget of each region: how fast it burns, over several windows. Paused and retired VPSes spend nothing of it. */
export function budgetRules(settings: RuleSettings): RuleGroup {
  const { objective } = settings.limits;
  const budget = Number((1 - objective).toPrecision(6));
  const windows = [...new Set(thresholds.burn.flatMap(({ long, short }) => [short, long]))];
  const inService = (selector: string) =>
    `sum by (region) (rate(${selector}[${rate}]) and on (vps, region) ${vps.active})`;
  return {
    name: "vpsight-budget",
    rules: [
      recording(fleet.objective, `vector(${objective})`),
      recording(region.budgetRequests, inService(`vps_requests_total{${known}}`)),
      recording(
        region.budgetErrors,
        `${inService(`vps_requests_total{${known},${failed}}`)} or ${region.budgetRequests} * 0`,
      ),
      ...windows.map((window) => recording(region.budgetRatio(window), ratioOver(window))),
      ...thresholds.burn.map(({ name, long, short, factor, severity }) =>
        alert(settings, {
          name,
          expression: [long, short]
            .map((window) => `${region.budgetRatio(window)} > ${Number((factor * budget).toPrecision(6))}`)
            .join(" and "),
          severity,
          summary: "A region spends its error budget too fast.",
          description:
            `{{ $value | humanizePercentage }} of the requests in {{ $labels.region }} failed in the last ${long}, ${factor} times what the ` +
            `objective of ${Number((objective * 100).toPrecision(6))} % allows in the long run.`,
        }),
      ),
    ],
  };
}

/** Averages of recorded rates: a day of the raw series of a large fleet would be read at every evaluation. */
function ratioOver(window: string): string {
  const { budgetErrors, budgetRequests } = region;
  if (window === rate) return `${budgetErrors} / (${budgetRequests} > 0)`;
  return `avg_over_time(${budgetErrors}[${window}]) / (avg_over_time(${budgetRequests}[${window}]) > 0)`;
}

import { budgetRules } from "./budget";
import { callerRules, gatewayRules } from "./callers";
import { completenessRules } from "./completeness";
import { exporterRules } from "./exporter";
import { fleetRecordings } from "./fleet";
import { healthRules } from "./health";
import type { RuleGroup, RuleSettings } from "./rule";

/** Every group of rules. */
export function ruleGroups(settings: RuleSettings): RuleGroup[] {
  return [
    ...fleetRecordings(),
    healthRules(settings),
    callerRules(settings),
    budgetRules(settings),
    gatewayRules(settings),
    completenessRules(settings),
    exporterRules(settings),
  ];
}

export type { Limits, Rule, RuleGroup, RuleSettings } from "./rule";

import { completenessRules } from "./completeness";
import { exporterRules } from "./exporter";
import type { RuleGroup, RuleSettings } from "./rule";

/** Every group of rules. */
export function ruleGroups(settings: RuleSettings): RuleGroup[] {
  return [completenessRules(settings), exporterRules(settings)];
}

export type { Rule, RuleGroup, RuleSettings } from "./rule";

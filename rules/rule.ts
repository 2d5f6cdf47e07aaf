import type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";

/** A group of rules, as a PrometheusRule holds it. */
export type RuleGroup = NonNullable<NonNullable<IPrometheusRule["spec"]>["groups"]>[number];
/** One rule of it. */
export type Rule = NonNullable<RuleGroup["rules"]>[number];

/** What a stack decides about its rules. */
export interface RuleSettings {
  /** Where `docs/runbooks/` can be read; without a slash at the end. */
  runbookUrl: string;
  /**
   * A selector of the counter that says how many requests there should have been; undefined takes the gateway's own log
   * counters. See docs/runbooks/TelemetryIncomplete.md for what either can and cannot show.
   */
  expectedRequests?: string | undefined;
  /** What a VPS may do before somebody hears of it. */
  limits: Limits;
  /** Whether the gateway sees true addresses: stage `send` or `enforce`. Alerts about addresses would be noise before. */
  addressesKnown: boolean;
  /** The stage of PROXY protocol that is deployed with the rules; a label of a recorded series. */
  stage: string;
}

/** What a stack may decide about its alerts; the defaults stand in `configSchema/monitoring.ts`. */
export interface Limits {
  /** Seconds without a request after which a VPS is silent. */
  silentSeconds: number;
  /** Share of failed requests, 0 to 1. */
  errorRatio: number;
  /** Seconds, p95. */
  latencySeconds: number;
  /** Share of requests of a region that are to succeed, 0 to 1: the objective behind the error budget. */
  objective: number;
}

/** `critical`: somebody gets up. `warning`: somebody looks in working hours. */
export type Severity = "critical" | "warning";

/** An alert before it is put in Prometheus' form. */
export interface Alert {
  /** Also the name of its page in `docs/runbooks/`. */
  name: string;
  expression: string;
  /** Default: at once. */
  for?: string;
  severity: Severity;
  /** One line, without numbers, so that it groups. */
  summary: string;
  /** With the value and what it means. */
  description: string;
}

/** An alert with everything that each must have: severity, texts, and its runbook by construction. */
export function alert(
  settings: RuleSettings,
  { name, expression, for: holds, severity, summary, description }: Alert,
): Rule {
  return {
    alert: name,
    expr: expression,
    ...(holds === undefined ? {} : { for: holds }),
    labels: { severity },
    annotations: { summary, description, runbook_url: `${settings.runbookUrl}/${name}.md` },
  };
}

/** A recorded series. @param labels that its expression does not give. */
export function recording(record: string, expression: string, labels?: Record<string, string>): Rule {
  return { record, expr: expression, ...(labels === undefined ? {} : { labels }) };
}

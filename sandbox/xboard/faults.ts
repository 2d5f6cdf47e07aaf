/** What a fault does to the requests it meets. */
export type FaultEffect =
  /** Answers this code (500 uncaught, 503 overloaded) without doing anything. */
  | { readonly kind: "status"; readonly status: number }
  /** Answers as usual, this much later. */
  | { readonly kind: "delay"; readonly milliseconds: number }
  /** Never answers: ends when the caller goes away. */
  | { readonly kind: "hang" };

/** A fault and the requests it meets; a field left out means "any". The first rule that fits is taken. */
export interface FaultRule {
  readonly nodeId?: string;
  readonly endpoint?: string;
  readonly effect: FaultEffect;
}

/** Everything that is wrong with the panel at the moment. */
export interface Faults {
  readonly rules: readonly FaultRule[];
  /** Answers 500 where a current panel answers 422 (wrong token) or 400 (unknown node). */
  readonly oldPanel: boolean;
  /** Answers 503 to everything, pages included. */
  readonly maintenance: boolean;
}

/** A healthy panel. */
export const noFaults: Faults = { rules: [], oldPanel: false, maintenance: false };

/**
 * Reads faults from JSON, strictly.
 * @returns the faults, or every problem found.
 */
export function parseFaults(value: unknown): { faults: Faults } | { problems: string[] } {
  const problems: string[] = [];
  if (!isRecord(value)) return { problems: ["document: must be an object"] };
  for (const key of Object.keys(value)) {
    if (!["rules", "oldPanel", "maintenance"].includes(key)) {
      problems.push(`${key}: must be one of rules, oldPanel, maintenance`);
    }
  }
  const flag = (key: "oldPanel" | "maintenance") => {
    const setting = value[key] ?? false;
    if (typeof setting === "boolean") return setting;
    problems.push(`${key}: must be true or false`);
    return false;
  };
  const list: unknown = value["rules"] ?? [];
  const rules: FaultRule[] = [];
  if (!Array.isArray(list)) problems.push("rules: must be a list");
  else {
    list.forEach((entry: unknown, index) => {
      const rule = parseRule(entry);
      if (typeof rule === "string") problems.push(`rules[${index}]${rule}`);
      else rules.push(rule);
    });
  }
  const faults = { rules, oldPanel: flag("oldPanel"), maintenance: flag("maintenance") };
  return problems.length > 0 ? { problems } : { faults };
}

/** The effect that a request meets, if any. */
export function findEffect(faults: Faults, nodeId: string, endpoint: string): FaultEffect | undefined {
  return faults.rules.find(
    (rule) =>
      (rule.nodeId === undefined || rule.nodeId === nodeId) &&
      (rule.endpoint === undefined || rule.endpoint === endpoint),
  )?.effect;
}

function parseRule(entry: unknown): FaultRule | string {
  if (!isRecord(entry)) return ": must be an object";
  const { nodeId, endpoint } = entry;
  if (nodeId !== undefined && typeof nodeId !== "string") return ".nodeId: must be a string";
  if (endpoint !== undefined && typeof endpoint !== "string") return ".endpoint: must be a string";
  const effect = parseEffect(entry["effect"]);
  if (typeof effect === "string") return `.effect${effect}`;
  return {
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(endpoint === undefined ? {} : { endpoint }),
    effect,
  };
}

function parseEffect(value: unknown): FaultEffect | string {
  if (!isRecord(value)) return ": must be an object";
  const { kind, status, milliseconds } = value;
  if (kind === "hang") return { kind };
  if (kind === "status") {
    const fits = typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599;
    return fits ? { kind, status } : ".status: must be an integer from 400 to 599";
  }
  if (kind === "delay") {
    const fits = typeof milliseconds === "number" && milliseconds >= 0 && milliseconds <= 60_000;
    return fits ? { kind, milliseconds } : ".milliseconds: must be a number from 0 to 60000";
  }
  return ".kind: must be one of status, delay, hang";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

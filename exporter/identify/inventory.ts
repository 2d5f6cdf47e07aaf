import type { AddressRange } from "./address";
import { parseRange } from "./address";
import type { InventoryEntry, InventoryIssue } from "./issue";
import { InventoryError, shorten } from "./issue";
import { findConflicts } from "./conflicts";
import { readDocument } from "./document";
import { inventoryShape } from "./shape";

export { maxInventoryLength } from "./document";
export { InventoryError } from "./issue";
export type { InventoryEntry, InventoryIssue } from "./issue";

/** What the operator wants of a VPS: in service, out for a while, or thrown away for good. */
export type VpsState = "active" | "paused" | "retired";

/** One machine of the fleet. */
export interface Vps {
  /** DNS label, unique in the fleet: `jp-004`. Never `unknown`. */
  readonly name: string;
  /** Lower-case label: `jp`. Never `unknown`. */
  readonly region: string;
  /** At least one address or CIDR block, in canonical text. */
  readonly addresses: readonly string[];
  /** The same addresses in the form that look-ups compare, in the same order. */
  readonly ranges: readonly AddressRange[];
  /** Panel nodes that it may claim to be; empty means that any claim is right. */
  readonly nodeIds: readonly string[];
  /** Who rents it out; empty when not said. */
  readonly provider: string;
  /** Free labels: Prometheus label name to value. */
  readonly labels: Readonly<Record<string, string>>;
  /** Default `active`. */
  readonly state: VpsState;
}

/** The fleet, checked: names are unique, and every address leads to one VPS or is told apart by node ids. */
export interface Inventory {
  /** Where it was read from, as the errors name it: a file's path or a URL. */
  readonly source: string;
  /** In the order of the source; may be empty. */
  readonly vps: readonly Vps[];
}

/**
 * Reads an inventory written in YAML or JSON.
 * @param source how errors name it, for example the file's path.
 * @throws InventoryError with every problem found, not just the first.
 */
export function parseInventory(text: string, source: string): Inventory {
  const raw = readDocument(text, source);
  const shape = inventoryShape.safeParse(raw);
  const issues: InventoryIssue[] = shape.success
    ? []
    : shape.error.issues.flatMap((issue) => toIssues(issue, raw));
  // Names and addresses are compared even when other entries are wrong: every problem in one go.
  const entries = shape.success ? shape.data.vps : readableEntries(raw);
  issues.push(...findDuplicateNames(entries));
  const located = entries.map((entry) => ({ ...entry, ranges: readRanges(entry.addresses) }));
  issues.push(...findConflicts(located));
  if (!shape.success || issues.length > 0) throw new InventoryError(source, issues);
  return {
    source,
    vps: shape.data.vps.map((entry) => {
      const ranges = readRanges(entry.addresses);
      return { ...entry, ranges, addresses: ranges.map((range) => range.text) };
    }),
  };
}

/** What of a wrong inventory can still be compared with the rest. */
function readableEntries(raw: unknown): readonly ComparableEntry[] {
  const list = isObject(raw) && Array.isArray(raw["vps"]) ? (raw["vps"] as readonly unknown[]) : [];
  return list.map((entry) => {
    const name = isObject(entry) && typeof entry["name"] === "string" ? entry["name"] : "";
    const strings = (key: string) => {
      const value = isObject(entry) ? entry[key] : undefined;
      return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
    };
    return { name, addresses: strings("addresses"), nodeIds: strings("nodeIds") };
  });
}

interface ComparableEntry {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly nodeIds: readonly string[];
}

function readRanges(addresses: readonly string[]): AddressRange[] {
  return addresses.map(parseRange).filter((range) => typeof range !== "string");
}

function findDuplicateNames(entries: readonly ComparableEntry[]): InventoryIssue[] {
  const firstIndex = new Map<string, number>();
  return entries.flatMap(({ name }, index) => {
    const first = firstIndex.get(name);
    if (first === undefined) firstIndex.set(name, index);
    if (first === undefined || name === "") return [];
    return [
      {
        entry: { index, name },
        field: "name",
        got: shorten(name),
        allowed: `must be unique; vps[${first}] has it already`,
      },
    ];
  });
}

type ShapeIssue = NonNullable<ReturnType<typeof inventoryShape.safeParse>["error"]>["issues"][number];

/** One problem of the shape, in words: where it is, what is there, what may be there. */
function toIssues(issue: ShapeIssue, raw: unknown): InventoryIssue[] {
  const { entry, steps } = locate(issue.path, raw);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      ...entry,
      field: joinPath([...steps, key]),
      got: "an unknown key",
      allowed: issue.message,
    }));
  }
  const value = issue.path.reduce<unknown>((at, step) => (isObject(at) ? at[String(step)] : undefined), raw);
  return [{ ...entry, field: joinPath(steps), got: shorten(value), allowed: issue.message }];
}

function locate(
  path: readonly PropertyKey[],
  raw: unknown,
): { entry: { entry?: InventoryEntry }; steps: PropertyKey[] } {
  const [list, index, ...steps] = path;
  if (list !== "vps" || typeof index !== "number") return { entry: {}, steps: [...path] };
  const [readable] = readableEntries({
    vps: [isObject(raw) && Array.isArray(raw["vps"]) ? raw["vps"][index] : undefined],
  });
  return { entry: { entry: { index, name: readable?.name ?? "" } }, steps };
}

function joinPath(steps: readonly PropertyKey[]): string {
  return steps.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    return text === "" ? String(step) : `${text}.${String(step)}`;
  }, "");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Which entry of the inventory a problem is about. */
export interface InventoryEntry {
  /** Position in the list, from 0. */
  readonly index: number;
  /** Its name as written; empty when it has none that can be read. */
  readonly name: string;
  /** File or URL that holds it; absent where only one is talked about. */
  readonly document?: string;
}

/** One problem of an inventory. */
export interface InventoryIssue {
  /** Absent when the problem is about the whole document. */
  readonly entry?: InventoryEntry;
  /** Path inside the entry (or the document): `addresses[1]`; empty for the entry itself. */
  readonly field: string;
  /** What is there, shortened. */
  readonly got: string;
  /** A sentence that says what is allowed. */
  readonly allowed: string;
}

const shownIssues = 50;
/** Keys and values can be as long as the document; a line about them cannot. */
const longestLine = 500;
/** A summary is shown beside others. */
const longestSummary = 300;

/** An inventory that cannot be used. The message lists the problems (the first 50), one a line. */
export class InventoryError extends Error {
  override readonly name = "InventoryError";

  constructor(
    /** File or URL that the inventory came from. */
    readonly source: string,
    /** Every problem, in the order found. */
    readonly issues: readonly InventoryIssue[],
  ) {
    const lines = issues.slice(0, shownIssues).map((issue) => `  ${describeIssue(issue)}`);
    if (issues.length > shownIssues) lines.push(`  and ${issues.length - shownIssues} more`);
    const count = issues.length === 1 ? "1 problem" : `${issues.length} problems`;
    super([`The inventory ${source} has ${count}:`, ...lines].join("\n"));
  }

  /** The first problem by place and rule, without what was found there, and how many more there are. */
  get summary(): string {
    const [first, ...others] = this.issues;
    if (first === undefined) return this.source;
    const place = [first.entry === undefined ? "" : `vps[${first.entry.index}]`, first.field].filter(
      (part) => part !== "",
    );
    const more = others.length === 0 ? "" : ` (and ${others.length} more; the log has them)`;
    return `${this.source}: ${place.join(" ") || "document"}: ${first.allowed}${more}`;
  }
}

/** An error in one line of at most 300 characters: its own `summary` when it has one, else its message's first line. */
export function summarise(error: Error): string {
  const own = "summary" in error && typeof error.summary === "string" ? error.summary : undefined;
  return (own ?? error.message.split("\n", 1)[0] ?? "").slice(0, longestSummary);
}

/** `vps[3] "jp-004" region: must be …; got "JP"`, on one line of at most 500 characters. */
export function describeIssue({ entry, field, got, allowed }: InventoryIssue): string {
  const name = entry === undefined || entry.name === "" ? "" : ` ${shorten(entry.name)}`;
  const document = entry?.document === undefined ? "" : `${entry.document}:`;
  const place = entry === undefined ? "" : `vps[${entry.index}]${name}`;
  const where = [document, place, field].filter((part) => part !== "").join(" ");
  const line = `${where === "" ? "document" : where}: ${allowed}; got ${got}`.replaceAll(/\s/g, " ");
  return line.length <= longestLine ? line : `${line.slice(0, longestLine - 3)}...`;
}

/** A value as an error may show it: on one line, at most 60 characters. */
export function shorten(value: unknown): string {
  if (value === undefined) return "nothing";
  // Objects are not spelled out: what is wrong with them is named by the key, and YAML lets them hold themselves.
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

import type { AddressRange } from "./address";
import type { InventoryIssue } from "./issue";
import { PrefixTable } from "./prefixTable";

/** What of an entry decides whether it can be told apart from the others. */
export interface LocatedEntry {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  readonly nodeIds: readonly string[];
  /** Where it stands, when the entries come from several documents. Default: its position in this list. */
  readonly origin?: EntryOrigin;
}

/** A position in one of several documents. */
export interface EntryOrigin {
  readonly document: string;
  readonly index: number;
}

/** All entries of one range; kept so that one more entry costs the same however many there are. */
interface Holders {
  readonly range: AddressRange;
  readonly indexes: number[];
  readonly withoutNodeIds: number[];
  readonly byNodeId: Map<string, number>;
}

/**
 * Finds addresses that lead to more than one VPS. Sharing is fine, behind one NAT for example, as long as
 * every VPS that shares has node ids and no two have the same one.
 * @returns one issue for each range of an entry that clashes, and one for each address written twice.
 */
export function findConflicts(entries: readonly LocatedEntry[]): InventoryIssue[] {
  const issues: { readonly index: number; readonly issue: InventoryIssue }[] = [];
  const table = new PrefixTable<Holders>();
  const claims = entries.flatMap(({ ranges }, index) => ranges.map((range) => ({ index, range })));
  // Wide ranges first: when a range is checked, everything that can hold it is in the table.
  claims.sort((a, b) => a.range.prefixLength - b.range.prefixLength || a.index - b.index);
  for (const { index, range } of claims) {
    const entry = entries[index];
    if (entry === undefined) continue;
    const report = (allowed: string) =>
      issues.push({
        index,
        issue: {
          entry: { index, name: entry.name, ...entry.origin },
          field: "addresses",
          got: range.text,
          allowed,
        },
      });
    const covering = table.covering(range.words, range.prefixLength);
    for (const holders of covering) {
      const other = findClash(holders, index, entry.nodeIds);
      if (other === undefined) continue;
      const theirs = holders.range.text === range.text ? "it too" : `${holders.range.text}, which holds it`;
      report(
        "must belong to one VPS, or every VPS that shares it must have nodeIds and no two the same id; " +
          `${describeOther(other, entries[other])} has ${theirs}`,
      );
      break;
    }
    const holders = table.get(range);
    if (holders?.indexes.at(-1) === index) report("must be listed once");
    hold(table, holders, range, index, entry.nodeIds);
  }
  return issues.sort((a, b) => a.index - b.index).map(({ issue }) => issue);
}

function describeOther(position: number, entry: LocatedEntry | undefined): string {
  const { index, document } = entry?.origin ?? { index: position, document: undefined };
  return `vps[${index}] "${entry?.name ?? ""}"${document === undefined ? "" : ` of ${document}`}`;
}

/** The entry that cannot be told apart from this one, if there is any. */
function findClash(holders: Holders, index: number, nodeIds: readonly string[]): number | undefined {
  const others = (candidates: readonly number[]) => candidates.find((candidate) => candidate !== index);
  if (nodeIds.length === 0) return others(holders.indexes);
  const nameless = others(holders.withoutNodeIds);
  if (nameless !== undefined) return nameless;
  const sameId = nodeIds.map((id) => holders.byNodeId.get(id)).filter((other) => other !== undefined);
  return others(sameId);
}

function hold(
  table: PrefixTable<Holders>,
  existing: Holders | undefined,
  range: AddressRange,
  index: number,
  nodeIds: readonly string[],
): void {
  const holders = existing ?? { range, indexes: [], withoutNodeIds: [], byNodeId: new Map<string, number>() };
  if (existing === undefined) table.set(range, holders);
  holders.indexes.push(index);
  if (nodeIds.length === 0) holders.withoutNodeIds.push(index);
  for (const id of nodeIds) if (!holders.byNodeId.has(id)) holders.byNodeId.set(id, index);
}

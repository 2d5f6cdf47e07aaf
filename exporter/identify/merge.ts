import { findConflicts } from "./conflicts";
import type { Inventory, Vps } from "./inventory";
import { InventoryError } from "./issue";

/** What several inventories say together. */
export interface MergedInventory extends Inventory {
  /** Names that stand in more than one inventory; the earliest inventory's entry holds. */
  readonly overridden: readonly string[];
}

/**
 * All inventories as one. An entry whose name an earlier inventory has is passed over as a whole; what is left must
 * be right together by the same rules as one inventory: no address leads to two VPSes that node ids do not tell apart.
 * @param inventories the one that wins first.
 * @throws InventoryError that names both places of every clash.
 */
export function mergeInventories(inventories: readonly Inventory[]): MergedInventory {
  const names = new Set<string>();
  const overridden: string[] = [];
  const merged: { readonly vps: Vps; readonly document: string; readonly index: number }[] = [];
  for (const { source, vps: entries } of inventories) {
    for (const [index, vps] of entries.entries()) {
      if (names.has(vps.name)) overridden.push(vps.name);
      else merged.push({ vps, document: source, index });
      names.add(vps.name);
    }
  }
  const source = inventories.map((inventory) => inventory.source).join(" with ");
  const issues = findConflicts(
    merged.map(({ vps, document, index }) => ({ ...vps, origin: { document, index } })),
  );
  if (issues.length > 0) throw new InventoryError(source, issues);
  return { source, vps: merged.map(({ vps }) => vps), overridden };
}

import type { AddressRange, AddressWords } from "./address";
import { isPrivate } from "./address";
import type { Inventory, Vps } from "./inventory";
import { PrefixTable } from "./prefixTable";

/** Why a caller has no name. */
export type UnknownReason =
  /** The record has no client address, or text that is none. */
  | "no_address"
  /** The address is in no entry of the inventory. */
  | "not_in_inventory"
  /** Nor can it be a VPS's: a private one. The gateway took what stands in front of it for the client. */
  | "private_address"
  /** Several VPSes share the address and the node id is none of theirs. */
  | "shared_address";

/** Who a caller is. */
export type Caller<T> =
  | { readonly known: true; readonly value: T; readonly nodeIdMismatch: boolean }
  | { readonly known: false; readonly reason: UnknownReason; readonly nodeIdMismatch: boolean };

/** The same answers are handed out again and again: nothing is allocated for a record. */
const noAddress = { known: false, reason: "no_address", nodeIdMismatch: false } as const;
const notInInventory = { known: false, reason: "not_in_inventory", nodeIdMismatch: false } as const;
const privateAddress = { known: false, reason: "private_address", nodeIdMismatch: false } as const;
const sharedWithoutClaim = { known: false, reason: "shared_address", nodeIdMismatch: false } as const;
const sharedWithWrongClaim = { known: false, reason: "shared_address", nodeIdMismatch: true } as const;

/** One VPS with its two possible answers. */
interface Resident<T> {
  readonly nodeIds: ReadonlySet<string>;
  readonly recognised: Caller<T>;
  readonly mismatched: Caller<T>;
}

/** All who can be meant by one range. */
interface Site<T> {
  /** Who is meant when the node id decides nothing; undefined when several share the range. */
  readonly usual: Resident<T> | undefined;
  /** Who is meant by a node id; undefined when there is nobody to tell apart. */
  readonly byNodeId: ReadonlyMap<string, Resident<T>> | undefined;
}

/**
 * Finds the VPS behind an address. Built once for an inventory and then only read, so a look-up costs the
 * same with ten VPSes as with ten thousand.
 */
export class Directory<T> {
  private readonly sites = new PrefixTable<Site<T>>();

  /** @param valueOf what to hand out for a VPS; called once for each. */
  constructor(inventory: Inventory, valueOf: (vps: Vps) => T) {
    const residents = new PrefixTable<Resident<T>[]>();
    const ranges: AddressRange[] = [];
    for (const vps of inventory.vps) {
      const value = valueOf(vps);
      const resident: Resident<T> = {
        nodeIds: new Set(vps.nodeIds),
        recognised: { known: true, value, nodeIdMismatch: false },
        mismatched: { known: true, value, nodeIdMismatch: true },
      };
      for (const range of vps.ranges) {
        const sharers = residents.get(range);
        if (sharers === undefined) {
          ranges.push(range);
          residents.set(range, [resident]);
        } else sharers.push(resident);
      }
    }
    for (const range of ranges) {
      this.sites.set(range, createSite(residents.covering(range.words, range.prefixLength)));
    }
  }

  /**
   * @param address the client's address, from `parseAddress`; undefined when the gateway wrote none.
   * @param nodeId what the caller claims to be; empty when it claims nothing.
   */
  identify(address: AddressWords | undefined, nodeId: string): Caller<T> {
    if (address === undefined) return noAddress;
    const site = this.sites.nearest(address);
    if (site !== undefined) return settle(site, nodeId);
    return isPrivate(address) ? privateAddress : notInInventory;
  }
}

/** @param levels the residents of each range that holds the address, the most specific range first. */
function createSite<T>(levels: readonly (readonly Resident<T>[])[]): Site<T> {
  const nearest = levels[0] ?? [];
  const usual = nearest.length === 1 ? nearest[0] : undefined;
  const everyone = new Set(levels.flat());
  if (everyone.size === 1) return { usual, byNodeId: undefined };
  const byNodeId = new Map<string, Resident<T>>();
  for (const resident of everyone) for (const id of resident.nodeIds) byNodeId.set(id, resident);
  return { usual, byNodeId };
}

function settle<T>({ usual, byNodeId }: Site<T>, nodeId: string): Caller<T> {
  const claimed = byNodeId?.get(nodeId);
  if (claimed !== undefined) return claimed.recognised;
  if (usual === undefined) return nodeId === "" ? sharedWithoutClaim : sharedWithWrongClaim;
  const fits = nodeId === "" || usual.nodeIds.size === 0 || usual.nodeIds.has(nodeId);
  return fits ? usual.recognised : usual.mismatched;
}

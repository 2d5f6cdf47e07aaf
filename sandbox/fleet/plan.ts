import { formatAddress, parseAddress } from "../../exporter/identify/address";
import type { AddressRange } from "../../exporter/identify/address";
import { Directory } from "../../exporter/identify/directory";
import type { Inventory, Vps } from "../../exporter/identify/inventory";
import { SandboxError } from "../error";
import type { Sender } from "../ledger/ledger";
import type { Protocol } from "./transport";

/** Which program runs on a VPS: XrayR, V2bX (also reports who is online), or a node of the newer `/api/v2/server`. */
export type ClientKind = "xrayr" | "v2bx" | "node";

/** One panel node of a VPS: one HTTP client of its own. */
export interface PlannedNode {
  readonly nodeId: string;
  readonly client: ClientKind;
  readonly protocol: Protocol;
  /** The address that it calls from. */
  readonly localAddress: string;
  /** How often there is traffic to report: each interval, every second one, or never. */
  readonly traffic: "busy" | "sometimes" | "idle";
}

/** A VPS of the inventory and what it does. */
export interface PlannedVps extends Sender {
  readonly nodes: readonly PlannedNode[];
}

/** What the inventory does not say about a VPS, because only the VPS knows. */
type ClientFacts = Partial<Pick<PlannedNode, "client" | "protocol" | "traffic">> & {
  /** Node ids of a VPS for which the inventory lists none. */
  readonly nodeIds?: readonly string[];
};

/** Of the VPSes in `fleet/sandbox.yaml`; any other VPS is a busy XrayR on HTTP/2. */
const clientFacts: Readonly<Record<string, ClientFacts>> = {
  "jp-002": { client: "v2bx", nodeIds: ["12"] },
  "jp-003": { traffic: "sometimes" },
  "jp-004": { traffic: "idle" },
  "hk-003": { traffic: "idle" },
  "us-002": { client: "node" },
  "us-003": { protocol: "http/1.1" },
};

/** Addresses of the callers that the inventory must not know. */
export const outsideAddresses = {
  /** Has the token and calls from nowhere in the fleet. */
  stranger: "198.51.100.66",
  strangerIpv6: "2001:db8:dead::66",
  /** A customer of the panel, with a browser. */
  panelUser: "203.0.113.200",
  /** Where a VPS turns up that was re-created and not yet entered in the inventory. */
  recreated: "192.0.2.77",
} as const;

/** The same roles at other addresses, for a run outside the sandbox's network. */
export type OutsideAddresses = Readonly<Record<keyof typeof outsideAddresses, string>>;

/**
 * Turns the inventory into the machines that the simulator plays. VPSes that are paused or retired stay silent
 * and are left out.
 * @throws {SandboxError} when the inventory names an address that must belong to nobody.
 */
export function planFleet(
  inventory: Inventory,
  outside: OutsideAddresses = outsideAddresses,
): PlannedVps[] {
  const directory = new Directory(inventory, (vps) => vps.name);
  const taken = Object.entries(outside).flatMap(([role, address]) => {
    const caller = directory.identify(parseAddress(address), "");
    const free = !caller.known && caller.reason !== "shared_address";
    return free ? [] : [`${address} (the sandbox's ${role})`];
  });
  if (taken.length > 0) {
    throw new SandboxError(
      `${inventory.source}: these addresses must belong to no VPS, since the sandbox uses them for callers outside ` +
        `the fleet: ${taken.join(", ")}. Give the VPS another address there.`,
    );
  }
  return inventory.vps.filter(({ state }) => state === "active").map(planVps);
}

/** Every address that a planned fleet and the callers around it bind to; they must be on an interface first. */
export function fleetAddresses(plan: readonly PlannedVps[], inventory: Inventory): string[] {
  const own = plan.flatMap(({ nodes }) => nodes.map(({ localAddress }) => localAddress));
  const spare = inventory.vps.flatMap(({ ranges }) =>
    ranges.filter(({ single }) => !single).map((range) => addressIn(range, secondHost)),
  );
  return [...new Set([...own, ...spare, ...Object.values(outsideAddresses)])];
}

/** The node ids that the panel must know. */
export function panelNodeIds(plan: readonly PlannedVps[]): string[] {
  return [...new Set(plan.flatMap(({ nodes }) => nodes.map(({ nodeId }) => nodeId)))];
}

const firstHost = 1;
const secondHost = 2;

/** The address that a VPS with a block has after it was re-created; undefined for one with single addresses. */
export function recreatedInBlock(vps: Vps): string | undefined {
  const block = vps.ranges.find(({ single }) => !single);
  return block === undefined ? undefined : addressIn(block, secondHost);
}

function planVps(vps: Vps): PlannedVps {
  const facts = clientFacts[vps.name] ?? {};
  const nodeIds = vps.nodeIds.length > 0 ? vps.nodeIds : (facts.nodeIds ?? [vps.name]);
  return {
    vps: vps.name,
    region: vps.region,
    nodes: nodeIds.map((nodeId, index) => ({
      nodeId,
      client: facts.client ?? "xrayr",
      protocol: facts.protocol ?? "h2",
      traffic: facts.traffic ?? "busy",
      localAddress: addressOf(vps, index),
    })),
  };
}

/** A VPS with several addresses uses them in turn, one for each node. */
function addressOf({ name, ranges }: Vps, index: number): string {
  const range = ranges[index % ranges.length];
  if (range === undefined) throw new Error(`${name} has no address`); // the inventory's check forbids it
  return range.single ? range.text : addressIn(range, firstHost);
}

function addressIn({ words }: AddressRange, host: number): string {
  return formatAddress([...words.slice(0, -1), (words.at(-1) ?? 0) + host]);
}

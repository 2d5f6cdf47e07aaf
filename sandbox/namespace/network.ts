/**
 * The network inside the sandbox. There is no way out of it: what is called public here is an address on a
 * bridge without a port, so that no packet of the sandbox can reach a real machine of that address.
 */
import { execFile, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { isIP, isIPv6 } from "node:net";
import { promisify } from "node:util";
import { SandboxError } from "../error";

const run = promisify(execFile);

/** Addresses and interfaces that the whole sandbox knows. */
export const sandboxNetwork = {
  /** Bridge of the Pods' interfaces. */
  podBridge: "pods0",
  /** Carries the public addresses. */
  wanInterface: "wan0",
  /** The node's address: every part of the control plane is reached here. */
  nodeAddress: "10.244.0.1",
  podRange: "10.244.0.0/16",
  serviceRange: "10.96.0.0/16",
  /** The load balancer's public addresses. */
  loadBalancerAddresses: ["198.18.0.10", "2001:db8:ffff::10"],
} as const;

/** Brings up loopback, the Pods' bridge and the public interface, and gives `ip netns` its place under /run. */
export async function setUpNetwork(): Promise<void> {
  await enableIpv6();
  await ipBatch([
    "link set lo up",
    `link add ${sandboxNetwork.podBridge} type bridge`,
    `link set ${sandboxNetwork.podBridge} up`,
    `addr add ${sandboxNetwork.nodeAddress}/16 dev ${sandboxNetwork.podBridge}`,
    `link add ${sandboxNetwork.wanInterface} type bridge`,
    `link set ${sandboxNetwork.wanInterface} up`,
  ]);
  await addWanAddresses(sandboxNetwork.loadBalancerAddresses);
  await run("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
}

/**
 * Adds public addresses (IPv4 or IPv6, no prefix length); one that is there already stays.
 *
 * @throws {SandboxError} listing what is not an address.
 */
export async function addWanAddresses(addresses: readonly string[]): Promise<void> {
  await ipBatch(addressLines("replace", addresses));
}

/** Removes public addresses. */
export async function removeWanAddresses(addresses: readonly string[]): Promise<void> {
  await ipBatch(addressLines("del", addresses));
}

/** The `ip -batch` lines that add or remove public addresses. */
export function addressLines(action: "replace" | "del", addresses: readonly string[]): string[] {
  const wrong = addresses.filter((address) => isIP(address) === 0);
  if (wrong.length > 0) {
    throw new SandboxError(
      `These are not IP addresses: ${wrong.map((address) => `"${address}"`).join(", ")}.`,
    );
  }
  return addresses.map((address) => {
    const length = isIPv6(address) ? 128 : 32;
    // Without nodad an IPv6 address stays tentative for a second and cannot be bound.
    const options = isIPv6(address) && action === "replace" ? " nodad" : "";
    return `addr ${action} ${address}/${length} dev ${sandboxNetwork.wanInterface}${options}`;
  });
}

/** Runs `ip` commands (without the word `ip`) in one process; stops at the first that fails. */
export async function ipBatch(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const child = spawn("ip", ["-batch", "-"], { stdio: ["pipe", "ignore", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
    // `ip` that failed on an early line no longer reads; its exit code says so.
    child.stdin.on("error", () => undefined);
    child.stdin.end(`${lines.join("\n")}\n`);
  });
  if (code !== 0) throw new SandboxError(`\`ip\` refused the sandbox's network: ${errors.trim()}`);
}

/** A host that has IPv6 switched off hands that down to new namespaces; the fleet has IPv6 members. */
async function enableIpv6(): Promise<void> {
  for (const scope of ["all", "default"]) {
    const path = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
    const value = await readFile(path, "utf8").catch(() => undefined);
    if (value === undefined) {
      throw new SandboxError("This kernel runs without IPv6 (ipv6.disable=1); the sandbox's fleet needs it.");
    }
    if (value.trim() !== "0") await writeFile(path, "0");
  }
}

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SandboxError } from "../error";
import type { Programs } from "./types";

const run = promisify(execFile);

/**
 * Hands out a network's addresses from its x.x.1.1 upward, and each one again only after all others had their turn:
 * nobody meets a new Pod at an address it remembers an old one by.
 */
export class AddressPool {
  private readonly base: number;
  private readonly size: number;
  private readonly taken = new Set<string>();
  private next = 256;

  /** @param cidr IPv4 network of at least 512 addresses, e.g. "10.244.0.0/16". */
  constructor(cidr: string) {
    const [address = "", bits = ""] = cidr.split("/");
    this.base = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    this.size = 2 ** (32 - Number(bits));
    if (!Number.isInteger(this.base) || !(this.size >= 512)) {
      throw new SandboxError(`podNetwork.cidr: must be an IPv4 network of /23 or larger; got ${cidr}.`);
    }
  }

  take(): string {
    for (let tries = 0; tries < this.size; tries++) {
      this.next = this.next + 1 >= this.size - 1 ? 257 : this.next + 1;
      const last = this.next % 256;
      if (last === 0 || last === 255) continue;
      const address = dotted(this.base + this.next);
      if (this.taken.has(address)) continue;
      this.taken.add(address);
      return address;
    }
    throw new SandboxError("The pod network has no free address left.");
  }

  release(address: string): void {
    this.taken.delete(address);
  }
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

export interface PodNetwork {
  /** Network namespace, a name for `ip netns`. */
  namespace: string;
  address: string;
  remove(): Promise<void>;
}

export interface AttachOptions {
  /** Unique among Pods that live at the same time; at most 12 characters. */
  id: string;
  address: string;
  prefixLength: number;
  bridge: string;
  gateway: string;
  /** Kernel settings of the Pod's network, e.g. {"net.ipv4.ip_local_port_range": "1024 65535"}. */
  sysctls: Record<string, string>;
  programs: Programs;
}

/** Makes a network namespace with one interface `eth0`, plugged into the bridge. */
export async function attachPod(options: AttachOptions): Promise<PodNetwork> {
  const { ip } = options.programs;
  const namespace = `pod-${options.id}`;
  const host = `ve${options.id}`;
  await run(ip, ["netns", "add", namespace]);
  const remove = async (): Promise<void> => {
    await run(ip, ["link", "delete", host]).catch(() => undefined);
    await run(ip, ["netns", "delete", namespace]).catch(() => undefined);
  };
  try {
    await run(ip, ["link", "add", "name", host, "type", "veth", "peer", "name", "eth0", "netns", namespace]);
    await run(ip, ["link", "set", host, "master", options.bridge, "up"]);
    await run(ip, ["-n", namespace, "link", "set", "lo", "up"]);
    await run(ip, [
      "-n",
      namespace,
      "addr",
      "add",
      `${options.address}/${options.prefixLength}`,
      "dev",
      "eth0",
    ]);
    await run(ip, ["-n", namespace, "link", "set", "eth0", "up"]);
    await run(ip, ["-n", namespace, "route", "add", "default", "via", options.gateway]);
    // Low ports are open to every user, as containerd 2 has it by default.
    const sysctls = { "net.ipv4.ip_unprivileged_port_start": "0", ...options.sysctls };
    for (const [name, value] of Object.entries(sysctls))
      await setSysctl(options.programs.nsenter, namespace, name, value);
  } catch (error) {
    await remove();
    throw error;
  }
  return { namespace, address: options.address, remove };
}

async function setSysctl(nsenter: string, namespace: string, name: string, value: string): Promise<void> {
  if (!/^net\.[a-z0-9_.-]+$/.test(name)) {
    throw new SandboxError(`securityContext.sysctls: only net.* can be set in the sandbox; got ${name}.`);
  }
  const file = `/proc/sys/${name.replaceAll(".", "/")}`;
  const script = 'printf "%s" "$1" > "$2"';
  await run(nsenter, [`--net=/run/netns/${namespace}`, "sh", "-c", script, "sh", value, file]);
}

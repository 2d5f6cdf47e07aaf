import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { SandboxError } from "../error";

/** The namespaces that one sandbox lives in. `-U`/`-r` come before these where they are needed. */
export const namespaceFlags = [
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
] as const;

/** What a trial of the namespaces found: the error output, or nothing when it worked. */
export type Trial = (flags: readonly string[]) => string | undefined;

// Everything that the sandbox later does with its rights, in small: the kinds of interface and a mount.
const trialScript = [
  "ip link set lo up",
  "ip link add trial0 type bridge",
  "ip link add trial1 type veth peer name trial2",
  "mount -t tmpfs tmpfs /run",
].join(" && ");

/**
 * Finds the `unshare` flags that work here: root needs no user namespace (but takes one where it lacks
 * CAP_SYS_ADMIN), an ordinary user needs one.
 *
 * @throws {SandboxError} saying what was tried, what the kernel answered and how to allow it.
 */
export function findNamespaceFlags(
  uid: number = process.getuid?.() ?? 0,
  trial: Trial = tryNamespaces,
  setting: (name: string) => string | undefined = kernelSetting,
): readonly string[] {
  const withUser = ["--user", "--map-root-user", ...namespaceFlags];
  const candidates: readonly (readonly string[])[] = uid === 0 ? [namespaceFlags, withUser] : [withUser];
  const answers: string[] = [];
  for (const flags of candidates) {
    const answer = trial(flags);
    if (answer === undefined) return flags;
    answers.push(`\`unshare ${flags.join(" ")}\`: ${answer}`);
  }
  throw new SandboxError(
    `The sandbox needs namespaces of its own and may not make them here. Tried ${answers.join("; ")}. ` +
      `${remedy(uid, setting)}`,
  );
}

function remedy(uid: number, setting: (name: string) => string | undefined): string {
  if (setting("kernel/apparmor_restrict_unprivileged_userns") === "1" && uid !== 0) {
    return "This system's AppArmor keeps ordinary users from it: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` allows it, or run as root.";
  }
  if (setting("kernel/unprivileged_userns_clone") === "0" && uid !== 0) {
    return "`sudo sysctl -w kernel.unprivileged_userns_clone=1` allows it, or run as root.";
  }
  if (setting("user/max_user_namespaces") === "0") {
    return "`sudo sysctl -w user.max_user_namespaces=15000` allows it.";
  }
  return "In a container it needs the capability SYS_ADMIN and NET_ADMIN (docker: `--privileged`); elsewhere the packages util-linux, iproute2 and mount, and the kernel modules bridge and veth.";
}

function tryNamespaces(flags: readonly string[]): string | undefined {
  const result = spawnSync("unshare", [...flags, "sh", "-c", trialScript], {
    encoding: "utf8",
    timeout: 20_000,
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (result.status === 0) return undefined;
  if (result.error !== undefined) return result.error.message;
  const output = result.stderr.trim().split("\n").slice(-2).join(" ");
  return output === "" ? `exit code ${result.status ?? "unknown"}` : output;
}

function kernelSetting(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}

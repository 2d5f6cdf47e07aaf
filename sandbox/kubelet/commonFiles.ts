import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { V1Pod } from "@kubernetes/client-node";
import type { Mount } from "./bubblewrap";

/**
 * Writes the files that a kubelet or an image gives every container: names of users, of this Pod and of the hosts it
 * is told about. There is no cluster DNS; resolv.conf names no server.
 * @param hosts name -> address, beside the Pod's own hostAliases.
 */
export async function writeCommonFiles(
  directory: string,
  pod: V1Pod,
  address: string,
  hosts: Record<string, string>,
): Promise<Mount[]> {
  const hostname = pod.spec?.hostname ?? pod.metadata?.name ?? "pod";
  const aliases = (pod.spec?.hostAliases ?? []).map(
    ({ ip, hostnames = [] }) => `${ip} ${hostnames.join(" ")}`,
  );
  const others = Object.entries(hosts).map(([name, target]) => `${target} ${name}`);
  const files: Record<string, string[]> = {
    "/etc/hosts": ["127.0.0.1 localhost", "::1 localhost", `${address} ${hostname}`, ...aliases, ...others],
    "/etc/hostname": [hostname],
    "/etc/resolv.conf": ["# the sandbox has no cluster DNS"],
    "/etc/nsswitch.conf": ["passwd: files", "group: files", "hosts: files dns"],
    "/etc/passwd": ["root:x:0:0:root:/root:/sbin/nologin", "nobody:x:65534:65534:nobody:/:/sbin/nologin"],
    "/etc/group": ["root:x:0:", "nogroup:x:65534:"],
  };
  await mkdir(directory, { recursive: true });
  const mounts: Mount[] = [];
  for (const [path, lines] of Object.entries(files)) {
    const from = join(directory, path.replace("/etc/", ""));
    await writeFile(from, lines.map((line) => `${line}\n`).join(""), { mode: 0o644 });
    mounts.push({ from, to: path, readOnly: true });
  }
  return mounts;
}

import { lstatSync, existsSync, readlinkSync, realpathSync } from "node:fs";

/** A volume, or a part of one, at its place in the container. */
export interface Mount {
  /** Path on this machine. */
  from: string;
  /** Absolute path in the container. */
  to: string;
  readOnly: boolean;
}

/** All that decides how a container is shut in. */
export interface ContainerRoot {
  hostname: string;
  uid: number;
  gid: number;
  readOnlyRoot: boolean;
  /** Files of the image, shown read-only. */
  files: { from: string; to: string }[];
  /** Empty folders of the image. */
  directories: string[];
  mounts: Mount[];
  environment: ReadonlyMap<string, string>;
  workingDirectory: string;
  command: string[];
}

/** Parts of this machine that every container sees, read-only: libraries to load programs with, and public CAs. */
const shared = [
  "/usr/lib",
  "/usr/lib64",
  "/usr/lib32",
  "/usr/libx32",
  "/lib",
  "/lib64",
  "/lib32",
  "/libx32",
  "/etc/ld.so.cache",
  "/etc/ssl/certs",
  "/usr/share/ca-certificates",
  "/usr/local/share/ca-certificates",
  "/usr/share/zoneinfo",
];

/**
 * bubblewrap's arguments for a container: a root of its own (in memory), own process, host name and IPC namespaces, own
 * user namespace with no capability, and nothing of this machine but the libraries. The network namespace is entered
 * before bubblewrap starts. The command is process 1, as in a real container, so that a signal it does not handle does
 * nothing.
 */
export function bubblewrapArguments(root: ContainerRoot): string[] {
  const options = ["--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL"];
  options.push("--unshare-user", "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-cgroup-try");
  options.push(
    "--uid",
    String(root.uid),
    "--gid",
    String(root.gid),
    "--hostname",
    root.hostname.slice(0, 63),
  );
  for (const path of shared) options.push(...sharedPath(path));
  options.push("--proc", "/proc", "--dev", "/dev");
  for (const directory of root.directories) options.push("--dir", directory);
  for (const { from, to } of root.files) options.push("--ro-bind", realpathSync(from), to);
  // A mount inside another one has to come after it.
  const mounts = root.mounts.toSorted((left, right) => depth(left.to) - depth(right.to));
  for (const mount of mounts) options.push(mount.readOnly ? "--ro-bind" : "--bind", mount.from, mount.to);
  if (root.readOnlyRoot) options.push("--remount-ro", "/");
  options.push("--clearenv");
  for (const [name, value] of root.environment) options.push("--setenv", name, value);
  options.push("--chdir", root.workingDirectory);
  return options;
}

function depth(path: string): number {
  return path.split("/").filter((part) => part !== "").length;
}

function sharedPath(path: string): string[] {
  if (!existsSync(path)) return [];
  // On merged-/usr systems /lib is a link to usr/lib.
  return lstatSync(path).isSymbolicLink()
    ? ["--symlink", readlinkSync(path), path]
    : ["--ro-bind", path, path];
}

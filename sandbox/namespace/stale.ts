import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandboxError } from "../error";

const prefix = "vpsight-run-";
const ownerFile = "launcher.json";
// Between mkdtemp and the owner file a directory looks ownerless; nobody needs longer than this.
const graceMilliseconds = 60_000;
// A unix socket's path has 108 bytes; the longest one in a run is some 40 bytes longer than its directory.
const longestDirectory = 64;

interface Owner {
  readonly pid: number;
  /** Start time in clock ticks since boot, so that a reused pid is not taken for the launcher. */
  readonly startTime: string;
}

/**
 * Makes a run's directory (mode 0700) under `parent` and marks it as this process's.
 *
 * @throws {SandboxError} when `parent` is too long a path for unix sockets.
 */
export async function makeRunDirectory(parent: string = tmpdir()): Promise<string> {
  const directory = await mkdtemp(join(parent, prefix));
  if (Buffer.byteLength(directory) > longestDirectory) {
    await rm(directory, { recursive: true });
    throw new SandboxError(
      `The temporary directory ${parent} has too long a path for unix sockets (${directory} is over ${longestDirectory} bytes). Set TMPDIR to a shorter one, e.g. TMPDIR=/tmp.`,
    );
  }
  const startTime = await processStartTime(process.pid);
  const owner: Owner = { pid: process.pid, startTime: startTime ?? "" };
  await writeFile(join(directory, ownerFile), JSON.stringify(owner));
  return directory;
}

/** Removes the run directories under `parent` whose launcher is dead (it was killed); returns their paths. */
export async function sweepStaleRuns(parent: string = tmpdir()): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const directory = join(parent, name);
    if (!(await isStale(directory))) continue;
    await removeTree(directory);
    removed.push(directory);
  }
  return removed;
}

/** Removes a directory tree, patiently: dying processes may still write into it. */
export async function removeTree(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

async function isStale(directory: string): Promise<boolean> {
  const status = await stat(directory).catch(() => undefined);
  if (status?.isDirectory() !== true || status.uid !== process.getuid?.()) return false;
  const owner = await readOwner(directory);
  if (owner === undefined) return Date.now() - status.mtimeMs > graceMilliseconds;
  return (await processStartTime(owner.pid)) !== owner.startTime;
}

async function readOwner(directory: string): Promise<Owner | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, ownerFile), "utf8"));
    if (typeof value !== "object" || value === null || !("pid" in value) || !("startTime" in value))
      return undefined;
    if (typeof value.pid !== "number" || typeof value.startTime !== "string") return undefined;
    return { pid: value.pid, startTime: value.startTime };
  } catch {
    return undefined;
  }
}

async function processStartTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The second field, the command's name in parentheses, may hold spaces; field 22 is the 20th after it.
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfStopped } from "./command";

/**
 * Lets one installation at a time work in a parts folder, which several checkouts may share; others wait.
 * @returns what gives the folder free again.
 */
export async function lock(directory: string, onWait: (owner: number) => void): Promise<() => void> {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, "install.lock");
  for (let told = false; ;) {
    if (take(directory, file)) return () => rmSync(file, { force: true });
    const owner = readOwner(file);
    if (owner === undefined || !isAlive(owner)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told) onWait(owner);
    told = true;
    await sleep(500);
    throwIfStopped();
  }
}

/** A link appears with its content or not at all, so that nobody reads a lock without an owner. */
function take(directory: string, file: string): boolean {
  const draft = join(directory, `install.lock.${process.pid}`);
  writeFileSync(draft, `${process.pid}\n`);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readOwner(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, "EPERM");
  }
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === code;
}

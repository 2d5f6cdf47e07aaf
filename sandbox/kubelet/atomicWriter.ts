import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile, chmod } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { VolumeFiles } from "./projection";

let serial = 0;

/**
 * Lays files out as the kubelet does, so that a reader sees either all of the old ones or all of the new ones: they
 * stand in a folder of their own, `..data` points at it and is replaced in one rename, and each name links through
 * `..data`. https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter
 * @returns false when the folder held exactly these files already.
 */
export async function writeAtomically(directory: string, files: VolumeFiles): Promise<boolean> {
  await mkdir(directory, { recursive: true });
  const before = await readlink(join(directory, "..data")).catch(() => undefined);
  if (before !== undefined && (await holdsExactly(join(directory, before), files))) return false;

  const folder = `..${new Date().toISOString().replace(/[-:]/g, "_")}.${++serial}`;
  await mkdir(join(directory, folder));
  for (const [path, file] of files) {
    const target = join(directory, folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, file.content);
    await chmod(target, file.mode);
  }
  await symlink(folder, join(directory, "..data_tmp"));
  await rename(join(directory, "..data_tmp"), join(directory, "..data"));
  await linkNames(directory, files);
  if (before !== undefined) await rm(join(directory, before), { recursive: true, force: true });
  return true;
}

/** Keeps one link for each top-level name, and none for names that went. */
async function linkNames(directory: string, files: VolumeFiles): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
  for (const entry of await readdir(directory)) {
    if (entry.startsWith("..")) continue;
    if (wanted.has(entry)) wanted.delete(entry);
    else await rm(join(directory, entry), { force: true });
  }
  for (const name of wanted) await symlink(join("..data", name), join(directory, name));
}

async function holdsExactly(folder: string, files: VolumeFiles): Promise<boolean> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  if (entries.filter((entry) => entry.isFile()).length !== files.size) return false;
  for (const [path, file] of files) {
    const content = await readFile(join(folder, path)).catch(() => undefined);
    if (!content?.equals(file.content)) return false;
  }
  return true;
}

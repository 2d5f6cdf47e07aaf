import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SandboxError } from "../error";
import pinned from "./parts.json";

/** The name of a part: a program the sandbox runs, or a file or folder that comes with one. */
export type PartName = keyof typeof pinned.parts;

/** What is known of a part that is installed. `file` is absolute, or relative to the parts folder. */
export interface InstalledPart {
  file: string;
  version: string;
  /** How it came: found on PATH, or brought by the installer. */
  from: "path" | "parts";
  /** {@link pinHash} at that time: another pin makes the part a stranger. */
  pin: string;
}

/** All names, in the order of parts.json. */
export const partNames = Object.keys(pinned.parts) as PartName[];

/** The parts that the sandbox cannot do without. */
export const requiredParts = partNames.filter((name) => !("optional" in pinned.parts[name]));

/** The checkout, for sources that are its own. */
export const checkout = join(__dirname, "../..");

/** The folder that everything is brought into: `VPSIGHT_PARTS_DIR`, default `.parts` in the checkout. */
export function partsDirectory(): string {
  return resolve(process.env["VPSIGHT_PARTS_DIR"] ?? join(checkout, ".parts"));
}

/** The variable whose value, a path, takes the place of a part, for example `VPSIGHT_PART_KUBE_APISERVER`. */
export function environmentVariable(name: PartName): string {
  return pinned.parts[name].environment;
}

/** Identifies how a part is pinned; differs as soon as its source, version, checksum or build changes. */
export function pinHash(name: PartName): string {
  const { source } = pinned.parts[name];
  const goModules: Readonly<Record<string, unknown>> = pinned.goModules;
  const goModule = "goModule" in source ? goModules[source.goModule] : undefined;
  const hash = createHash("sha256").update(JSON.stringify([source, goModule]));
  if ("folder" in source) {
    const folder = join(checkout, source.folder);
    for (const file of readdirSync(folder).sort()) hash.update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex").slice(0, 16);
}

/** Reads the installer's record; empty when nothing is installed. */
export function installedParts(directory = partsDirectory()): Partial<Record<PartName, InstalledPart>> {
  const file = join(directory, "installed.json");
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Partial<Record<PartName, InstalledPart>>;
  } catch (error) {
    throw new SandboxError(`${file} cannot be read (${String(error)}); delete it and run \`make setup\`.`);
  }
}

/**
 * The absolute path of a part: what its environment variable says, else what the installer recorded.
 * @throws SandboxError when the part is not installed, or installed for another pin.
 */
export function partPath(name: PartName): string {
  const variable = environmentVariable(name);
  const override = process.env[variable];
  if (override) {
    if (existsSync(override)) return resolve(override);
    throw new SandboxError(`${variable}: no such file: ${override}. Correct it or unset it.`);
  }
  const installed = installedParts()[name];
  if (!installed) throw new SandboxError(`${name} is not installed; run \`${remedy(name)}\`.`);
  const path = resolve(partsDirectory(), installed.file);
  if (!existsSync(path)) throw new SandboxError(`${name} is gone from ${path}; run \`${remedy(name)}\`.`);
  if (installed.pin !== pinHash(name)) {
    throw new SandboxError(
      `${name} is installed, but parts.json now pins another build; run \`${remedy(name)}\`.`,
    );
  }
  return path;
}

function remedy(name: PartName): string {
  return requiredParts.includes(name) ? "make setup" : `npx tsx sandbox/parts/install.ts ${name}`;
}

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { SandboxError } from "../error";
import { CommandError, run } from "./command";
import { isExecutable } from "./locate";
import type { Workshop } from "./workshop";

/**
 * Takes a program from the machine's own Debian or Ubuntu archive without installing anything: apt keeps its lists in
 * the parts folder and authenticates the package by the archive's signed index, and the package is only unpacked.
 * @returns the program, relative to the parts folder. Where the system lacks libraries, these are unpacked beside it and
 * the program is a script that says where they are.
 */
export async function bringDebianProgram(
  name: string,
  packageName: string,
  executable: string,
  workshop: Workshop,
): Promise<string> {
  const unpacked = await unpackDebianPackage(packageName, workshop);
  const program = programFolders
    .map((folder) => join(folder, executable))
    .find((file) => isExecutable(join(unpacked, file)));
  if (program === undefined)
    throw new SandboxError(`The package ${packageName} has no program ${executable}.`);

  const missing = await missingLibraries(join(unpacked, program), workshop);
  if (missing.length > 0) await unpackDependencies(packageName, unpacked, workshop);
  const home = join(workshop.directory, "debian", name);
  rmSync(home, { recursive: true, force: true });
  mkdirSync(join(workshop.directory, "debian"), { recursive: true });
  renameSync(unpacked, home);
  if (missing.length === 0) return relative(workshop.directory, join(home, program));

  const script = join(workshop.directory, "bin", name);
  const draft = join(workshop.scratch, name);
  writeFileSync(draft, wrapperScript(name, program, libraryFolders(home)), { mode: 0o755 });
  renameSync(draft, script);
  return relative(workshop.directory, script);
}

const programFolders = ["usr/bin", "usr/sbin", "bin", "sbin"];

/** Downloads one package and unpacks it into a folder inside the scratch folder, which is returned. */
export async function unpackDebianPackage(packageName: string, workshop: Workshop): Promise<string> {
  await updateIndex(workshop);
  const folder = join(workshop.scratch, `${packageName}.content`);
  await downloadAndUnpack([packageName], folder, workshop);
  return folder;
}

async function unpackDependencies(packageName: string, folder: string, workshop: Workshop): Promise<void> {
  // Packages that the system has are left out, not least the C library: it must not come from beside the program.
  const kinds = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(
    (kind) => `--no-${kind}`,
  );
  const tree = await apt("apt-cache", ["depends", "--recurse", ...kinds, packageName], workshop);
  const names = [...tree.matchAll(/^([a-z0-9][a-z0-9+.-]*)(?::amd64)?$/gm)].map((match) => match[1] ?? "");
  const present = await installedPackages(workshop);
  const dependencies = [...new Set(names)].filter((name) => name.startsWith("lib") && !present.has(name));
  if (dependencies.length > 0) await downloadAndUnpack(dependencies, folder, workshop);
}

async function installedPackages({ log, environment }: Workshop): Promise<Set<string>> {
  const list = await run("dpkg-query", ["--show", "--showformat=${db:Status-Status} ${Package}\n"], {
    log,
    environment,
  });
  return new Set([...list.matchAll(/^installed (\S+)$/gm)].map((match) => match[1] ?? ""));
}

async function downloadAndUnpack(
  packages: readonly string[],
  folder: string,
  workshop: Workshop,
): Promise<void> {
  const { log, environment } = workshop;
  const downloads = join(workshop.scratch, `${packages[0]}.download`);
  mkdirSync(downloads, { recursive: true });
  await apt("apt-get", ["download", ...packages], workshop, downloads);
  for (const file of readdirSync(downloads)) {
    await run("dpkg-deb", ["--extract", join(downloads, file), folder], { log, environment });
  }
}

/** The shared libraries that a program needs and the system has not. */
async function missingLibraries(program: string, { log, environment }: Workshop): Promise<string[]> {
  try {
    const output = await run("ldd", [program], { log, environment });
    return [...output.matchAll(/^\s*(\S+) => not found$/gm)].map((match) => match[1] ?? "");
  } catch (error) {
    if (error instanceof CommandError) return []; // "not a dynamic executable"
    throw error;
  }
}

function libraryFolders(home: string): string[] {
  return ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib"].filter((folder) =>
    existsSync(join(home, folder)),
  );
}

function wrapperScript(name: string, program: string, libraries: readonly string[]): string {
  return `#!/bin/sh
# ${name} with the libraries that this system lacked when it was unpacked.
home=$(dirname "$0")/../debian/${name}
LD_LIBRARY_PATH="${libraries.map((folder) => `$home/${folder}`).join(":")}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
exec "$home/${program}" "$@"
`;
}

let indexIsFresh = false;

async function updateIndex(workshop: Workshop): Promise<void> {
  if (indexIsFresh) return;
  await apt("apt-get", ["update"], workshop);
  indexIsFresh = true;
}

async function apt(
  command: string,
  args: readonly string[],
  workshop: Workshop,
  cwd?: string,
): Promise<string> {
  const state = join(workshop.directory, "apt");
  mkdirSync(join(state, "lists", "partial"), { recursive: true });
  mkdirSync(join(state, "cache", "archives", "partial"), { recursive: true });
  const options = [
    `Dir::State::Lists=${join(state, "lists")}`,
    `Dir::Cache=${join(state, "cache")}`,
    "Dir::Log=/dev/null",
    // Root's apt would hand downloads to the user _apt, who may not write into this folder.
    "APT::Sandbox::User=root",
    "Debug::NoLocking=true",
  ];
  try {
    return await run(command, [...args, ...options.flatMap((option) => ["-o", option])], {
      log: workshop.log,
      environment: { ...workshop.environment, LC_ALL: "C" },
      ...(cwd === undefined ? {} : { cwd }),
    });
  } catch (error) {
    if (error instanceof CommandError && error.message.includes("could not be started")) {
      throw new SandboxError(
        "apt-get is not here: on a system that is neither Debian nor Ubuntu, install etcd, haproxy, bubblewrap, " +
          "iproute2 and util-linux with its own package manager, so that they are on PATH.",
      );
    }
    throw error;
  }
}

import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";
import { z } from "zod";
import { SandboxError } from "../error";
import { CommandError, run } from "./command";
import type { GoModule } from "./pins";
import type { Workshop } from "./workshop";

/** What one Go module is to give: programs built from its packages, and files copied out of it. */
export interface GoOrder<Name extends string> {
  /** Part name to package path. */
  programs: ReadonlyMap<Name, string>;
  /** Part name to file or folder of the module. */
  files: ReadonlyMap<Name, string>;
}

/**
 * Downloads a Go module, checks its sum, and builds and copies what is ordered.
 * @param go the `go` command.
 * @returns part name to file, relative to the parts folder.
 * @throws SandboxError when the module's sum is not the pinned one.
 */
export async function buildGoModule<Name extends string>(
  pin: GoModule,
  order: GoOrder<Name>,
  go: string,
  workshop: Workshop,
): Promise<Map<Name, string>> {
  const environment = goEnvironment(workshop);
  const source = await downloadModule(pin, go, environment, workshop);
  const results = new Map<Name, string>();

  if (order.programs.size > 0) {
    writeFileSync(join(workshop.scratch, "go.mod"), goModFile(pin));
    // The module's own go.sum is covered by the sum just checked; the checksum database vouches for the rest. Read and
    // written, since a copy would be read-only like the original, and Go adds to it.
    const sums = join(source, "go.sum");
    if (existsSync(sums)) writeFileSync(join(workshop.scratch, "go.sum"), readFileSync(sums));
    const built = join(workshop.scratch, "built");
    mkdirSync(built);
    const flags = ["-mod=mod", `-tags=${pin.tags.join(",")}`, ...leanBuild(pin.linkerFlags)];
    await run(go, ["build", ...flags, "-o", `${built}/`, ...order.programs.values()], {
      log: workshop.log,
      cwd: workshop.scratch,
      environment,
    });
    for (const [name, path] of order.programs) {
      const target = join(workshop.directory, "bin", name);
      renameSync(join(built, basename(path)), target);
      results.set(name, relative(workshop.directory, target));
    }
  }
  for (const [name, file] of order.files) {
    const draft = join(workshop.scratch, name);
    const target = join(workshop.directory, "share", name + extname(file));
    cpSync(join(source, file), draft, { recursive: true });
    await run("chmod", ["-R", "u+w", draft], { log: workshop.log });
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
    results.set(name, relative(workshop.directory, target));
  }
  return results;
}

// Nobody debugs these programs here: without the tables a build takes a sixth less time and a quarter less room.
function leanBuild(linkerFlags: readonly string[] = []): string[] {
  return ["-trimpath", "-gcflags=all=-dwarf=false", `-ldflags=${["-s -w", ...linkerFlags].join(" ")}`];
}

/**
 * Builds a main package that has its go.mod and go.sum beside it; Go refuses modules that go.sum does not vouch for.
 * @returns the program, relative to the parts folder.
 */
export async function buildGoProgram(
  name: string,
  folder: string,
  go: string,
  workshop: Workshop,
): Promise<string> {
  const draft = join(workshop.scratch, name);
  await run(go, ["build", "-mod=readonly", ...leanBuild(), "-o", draft, "."], {
    log: workshop.log,
    cwd: folder,
    environment: goEnvironment(workshop),
  });
  const target = join(workshop.directory, "bin", name);
  renameSync(draft, target);
  return relative(workshop.directory, target);
}

/** The main module of a build: only a place for the versions that are asked for. */
export function goModFile(pin: GoModule): string {
  const required = Object.entries({ [pin.module]: pin.version, ...pin.require });
  const lines = [
    "module vpsight.invalid/parts",
    "go 1.26.0",
    ...required.map(([path, version]) => `require ${path} ${version}`),
    ...Object.entries(pin.replace).map(([path, by]) => `replace ${path} => ${by}`),
  ];
  return lines.join("\n") + "\n";
}

const downloaded = z.object({ Dir: z.string(), Sum: z.string() });

/** @returns the module's folder. */
async function downloadModule(
  pin: GoModule,
  go: string,
  environment: NodeJS.ProcessEnv,
  { scratch, log }: Workshop,
): Promise<string> {
  const answer = await run(go, ["mod", "download", "-json", `${pin.module}@${pin.version}`], {
    log,
    cwd: scratch,
    environment,
  });
  const { Dir, Sum } = downloaded.parse(JSON.parse(answer));
  if (Sum !== pin.sum) {
    throw new SandboxError(
      `${pin.module} ${pin.version} has the sum ${Sum}, but sandbox/parts/parts.json pins ${pin.sum}. It is not used.`,
    );
  }
  return Dir;
}

/** Where the module and build caches of a parts folder are; several GB. */
export function goCache(directory: string): string {
  return join(directory, "cache");
}

/** Keeps Go within the parts folder. Proxy and checksum database stay as the machine has them. */
function goEnvironment(workshop: Workshop): NodeJS.ProcessEnv {
  const cache = goCache(workshop.directory);
  const temporary = join(workshop.scratch, "temporary");
  mkdirSync(temporary, { recursive: true });
  return {
    ...workshop.environment,
    GOPATH: join(cache, "gopath"),
    GOMODCACHE: join(cache, "gomod"),
    GOCACHE: join(cache, "gobuild"),
    GOTMPDIR: temporary,
    GOBIN: "",
    GOFLAGS: "",
    GO111MODULE: "on",
    GOWORK: "off",
    GOTOOLCHAIN: "local",
    GOOS: "linux",
    GOARCH: "amd64",
    CGO_ENABLED: "0",
  };
}

/** Removes the caches. Go writes its module cache read-only, so it has to do that itself. */
export async function removeGoCache(go: string, workshop: Workshop): Promise<void> {
  const environment = goEnvironment(workshop);
  try {
    await run(go, ["clean", "-modcache"], { log: workshop.log, cwd: workshop.scratch, environment });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
  rmSync(goCache(workshop.directory), { recursive: true, force: true });
}

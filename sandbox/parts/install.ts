import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SandboxError } from "../error";
import { CommandError, Interrupted, lastLines, stopCommands } from "./command";
import { partNames, partsDirectory, pinHash, requiredParts, type InstalledPart, type PartName } from "./find";
import { goCache, removeGoCache } from "./goModule";
import { programOf, recordParts, standingOf } from "./inventory";
import { askVersion, Locator } from "./locate";
import { lock } from "./lock";
import { pinOf } from "./pins";
import { findGo, planSteps, type Step } from "./plan";
import { duration, Progress } from "./progress";
import { isFit } from "./version";
import { inWorkshop, type Workshop } from "./workshop";

/** Caches and results of all Go builds need this much at their height, in bytes. */
const spaceForBuilds = 12e9;

/**
 * Sees to it that parts are there, all that the sandbox needs unless some are named: what an environment variable or PATH gives is left as it
 * is, what the parts folder lacks is downloaded or built.
 * @throws SandboxError with the one thing to do about it.
 */
export async function install(names: readonly PartName[] = requiredParts): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new SandboxError(
      `The sandbox runs on Linux x86-64 only; this is ${process.platform} ${process.arch}.`,
    );
  }
  const directory = partsDirectory();
  if ((await survey(names, directory)).missing.length > 0) {
    const unlock = await lock(directory, (owner) =>
      console.log(`Waiting for another installation (process ${owner}) in ${directory}.`),
    );
    try {
      const { missing, locator } = await survey(names, directory);
      await bring(missing, directory, locator);
    } finally {
      unlock();
    }
  }
  const { ready, given } = await survey(names, directory);
  const own = ready.filter((record) => record.from === "path").length;
  console.log(
    `Parts: all ${names.length} are ready (${ready.length - own} in ${directory}, ${own} from PATH, ${given} given).`,
  );
}

interface Survey {
  missing: PartName[];
  ready: InstalledPart[];
  /** How many an environment variable gives. */
  given: number;
  locator: Locator;
}

/** Looks what is there, writes it down, and refuses environment variables that give nothing fit. */
async function survey(names: readonly PartName[], directory: string): Promise<Survey> {
  const locator = new Locator(directory);
  const standings = await Promise.all(
    names.map(async (name) => ({ name, standing: await standingOf(name, directory, locator) })),
  );
  locator.remember();
  const problems = standings.flatMap(({ standing }) => (standing.is === "wrong" ? [standing.problem] : []));
  if (problems.length > 0) throw new SandboxError(problems.join("\n"));
  const records = new Map(
    standings.flatMap(({ name, standing }) => (standing.is === "ready" ? [[name, standing.record]] : [])),
  );
  recordParts(directory, records);
  return {
    missing: standings.filter(({ standing }) => standing.is === "missing").map(({ name }) => name),
    ready: [...records.values()],
    given: standings.filter(({ standing }) => standing.is === "given").length,
    locator,
  };
}

async function bring(missing: readonly PartName[], directory: string, locator: Locator): Promise<void> {
  const steps = await planSteps(missing, directory, locator);
  const builds = missing.some((name) => ["go", "go-program"].includes(pinOf(name).source.kind));
  if (builds) checkSpace(directory);
  const progress = new Progress(steps.length);
  const started = Date.now();
  for (const step of steps) {
    const time = await progress.step(step.title, step.doing, () =>
      inWorkshop(directory, step.key, (workshop) => carryOut(step, workshop)),
    );
    recordTime(directory, step.key, time);
  }
  for (const folder of ["scratch", "apt"]) rmSync(join(directory, folder), { recursive: true, force: true });
  if (
    builds &&
    process.env["VPSIGHT_KEEP_BUILD_CACHE"] !== "1" &&
    (await survey(requiredParts, directory)).missing.length === 0
  ) {
    const { command } = await findGo(directory, locator);
    await inWorkshop(directory, "clean", (workshop) => removeGoCache(command, workshop));
    console.log(`Removed the build caches in ${goCache(directory)}; VPSIGHT_KEEP_BUILD_CACHE=1 keeps them.`);
  }
  console.log(`Parts: ${missing.length} brought in ${duration(Date.now() - started)}.`);
}

/** Does a step, tries what it brought, and records it. */
async function carryOut(step: Step, workshop: Workshop): Promise<void> {
  const { directory, log } = workshop;
  try {
    const brought = await step.work(workshop);
    const records = new Map<PartName, InstalledPart>();
    for (const [name, file] of brought) {
      const version = await tryOut(name, resolve(directory, file));
      records.set(name, { file, version, from: "parts", pin: pinHash(name) });
    }
    recordParts(directory, records);
  } catch (error) {
    if (error instanceof Interrupted)
      throw new SandboxError(`Interrupted at ${step.title}; run it again to go on from there.`);
    if (error instanceof SandboxError) throw new SandboxError(`${step.title}: ${error.message}`);
    if (!(error instanceof CommandError)) throw error;
    throw new SandboxError(
      `${step.title}: ${error.message}. The log is ${log}; its last lines:\n${lastLines(log)}`,
    );
  }
}

/** A program that does not start here, or that the system's archive has in another version, is no use. */
async function tryOut(name: PartName, file: string): Promise<string> {
  const pin = pinOf(name);
  const program = programOf(pin);
  if (!program) return pin.version;
  const version = await askVersion(file, program.versionCommand);
  const instead = `Give a fit one with ${pin.environment}=/path/to/${program.executable}.`;
  if (version === undefined) {
    throw new SandboxError(
      `${file} does not run on this system (try it with ${program.versionCommand.join(" ")}). ${instead}`,
    );
  }
  if (!isFit(version, program.fit)) {
    throw new SandboxError(`version ${version} came, but it must be ${program.fit}. ${instead}`);
  }
  return version;
}

function checkSpace(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const { bavail, bsize } = statfsSync(directory);
  if (existsSync(goCache(directory)) || bavail * bsize >= spaceForBuilds) return;
  throw new SandboxError(
    `${directory} has ${((bavail * bsize) / 1e9).toFixed(1)} GB free; the builds need ${spaceForBuilds / 1e9} GB for a while. ` +
      "Make room, or name a folder with more by VPSIGHT_PARTS_DIR.",
  );
}

/** How long each step took when it was last done, in seconds. */
function recordTime(directory: string, key: string, milliseconds: number): void {
  const file = join(directory, "install-times.json");
  const times = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record<string, number>) : {};
  writeFileSync(
    file,
    JSON.stringify({ ...times, [key]: Math.round(milliseconds / 100) / 10 }, undefined, 1) + "\n",
  );
}

async function main(words: readonly string[]): Promise<void> {
  const unknown = words.filter((word) => !partNames.some((name) => name === word));
  if (unknown.length > 0) {
    throw new SandboxError(`No part is named ${unknown.join(", ")}. The parts are: ${partNames.join(", ")}.`);
  }
  const chosen = words.length === 0 ? requiredParts : partNames.filter((name) => words.includes(name));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stopCommands);
  await install(chosen);
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    if (error instanceof Interrupted) console.error("Interrupted.");
    else console.error(error instanceof SandboxError ? error.message : error);
    process.exitCode = 1;
  });
}

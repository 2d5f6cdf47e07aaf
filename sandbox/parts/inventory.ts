import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { environmentVariable, installedParts, pinHash, type InstalledPart, type PartName } from "./find";
import { isExecutable, type Locator, type Program } from "./locate";
import { pinOf, type Pin } from "./pins";
import { isFit } from "./version";

/** What is to be done about a part. */
export type Standing =
  | { is: "given" }
  | { is: "ready"; record: InstalledPart }
  | { is: "missing" }
  | { is: "wrong"; problem: string };

/** How a part is recognised on the machine; undefined for parts that are files. */
export function programOf({
  executable,
  versionCommand,
  fit,
}: Pick<Pin, "executable" | "versionCommand" | "fit">): Program | undefined {
  return executable && versionCommand && fit ? { executable, versionCommand, fit } : undefined;
}

/** Where a part is to come from: its environment variable, else a fit program on PATH, else the parts folder. */
export async function standingOf(
  name: PartName,
  directory: string,
  locator: Locator,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Standing> {
  const pin = pinOf(name);
  const program = programOf(pin);
  const given = environment[environmentVariable(name)];
  if (given) {
    const problem = await problemWith(given, pin.environment, program, locator);
    return problem === undefined ? { is: "given" } : { is: "wrong", problem };
  }
  const found = program && (await locator.onPath(program));
  if (found) return { is: "ready", record: { ...found, from: "path", pin: pinHash(name) } };

  const record = installedParts(directory)[name];
  const own =
    record?.from === "parts" && record.pin === pinHash(name) && existsSync(resolve(directory, record.file));
  return own ? { is: "ready", record } : { is: "missing" };
}

/** What is wrong with a path that an environment variable gives; undefined when nothing is. */
export async function problemWith(
  file: string,
  variable: string,
  program: Program | undefined,
  locator: Locator,
): Promise<string | undefined> {
  if (!existsSync(file)) return `${variable}: no such file: ${file}. Correct it or unset it.`;
  if (!program) return undefined;
  if (!isExecutable(file)) return `${variable}: ${file} is not a program. Correct it or unset it.`;
  const version = await locator.versionOf(resolve(file), program.versionCommand);
  // A build of one's own may not say its version; then the giver's word counts.
  if (version === undefined || isFit(version, program.fit)) return undefined;
  return `${variable}: ${file} is version ${version}; it must be ${program.fit}. Correct it or unset it.`;
}

/**
 * Adds to the record of what is installed, in one step that an interruption cannot halve. When that says nothing new
 * nothing is written: runs that only look must not undo what an installation records at the same moment.
 */
export function recordParts(directory: string, parts: ReadonlyMap<PartName, InstalledPart>): void {
  const before = installedParts(directory);
  const after = { ...before, ...Object.fromEntries(parts) };
  if (isDeepStrictEqual(before, after)) return;
  mkdirSync(directory, { recursive: true });
  const draft = join(directory, `installed.json.${process.pid}`);
  writeFileSync(draft, JSON.stringify(after, undefined, 1) + "\n");
  renameSync(draft, join(directory, "installed.json"));
}

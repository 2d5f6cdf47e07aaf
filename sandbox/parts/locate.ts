import { execFile } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { findVersion, isFit } from "./version";

/** How a program is recognised; see parts.json. */
export interface Program {
  executable: string;
  versionCommand: readonly string[];
  fit: string;
}

export interface FoundProgram {
  file: string;
  version: string;
}

/** What a program printed when asked for its version, kept until the file changes: asking two dozen takes seconds. */
type Memory = Record<string, { changed: number; size: number; version: string | undefined }>;

/** Not on an ordinary user's PATH on Debian, yet the home of `ip` and `haproxy`. */
const furtherFolders = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Finds programs on PATH and asks them for their versions. */
export class Locator {
  private readonly memoryFile: string;
  private readonly memory: Memory;
  private hasLearnt = false;

  constructor(
    private readonly partsFolder: string,
    private readonly environment: NodeJS.ProcessEnv = process.env,
  ) {
    this.memoryFile = join(partsFolder, "versions.json");
    this.memory = existsSync(this.memoryFile) ? readMemory(this.memoryFile) : {};
  }

  /**
   * The first program on PATH (then in the sbin folders) whose version is fit, or undefined. What lies in the parts
   * folder does not count, should that be on PATH. With `VPSIGHT_PARTS_IGNORE_PATH=1` nothing is found.
   */
  async onPath(program: Program): Promise<FoundProgram | undefined> {
    if (this.environment["VPSIGHT_PARTS_IGNORE_PATH"] === "1") return undefined;
    for (const file of this.candidates(program.executable)) {
      const version = await this.versionOf(file, program.versionCommand);
      if (version !== undefined && isFit(version, program.fit)) return { file, version };
    }
    return undefined;
  }

  /** What a program says of its version; undefined when it does not run or prints none. */
  async versionOf(file: string, versionCommand: readonly string[]): Promise<string | undefined> {
    const { mtimeMs: changed, size } = statSync(file);
    const known = this.memory[file];
    if (known && known.changed === changed && known.size === size) return known.version;
    const version = await askVersion(file, versionCommand);
    this.memory[file] = { changed, size, version };
    this.hasLearnt = true;
    return version;
  }

  /** Writes down what was learnt. */
  remember(): void {
    if (!this.hasLearnt || !existsSync(this.partsFolder)) return;
    writeFileSync(this.memoryFile, JSON.stringify(this.memory, undefined, 1));
  }

  private candidates(executable: string): string[] {
    const inPath = (this.environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
    const files = [...inPath, ...furtherFolders]
      .map((folder) => resolve(folder, executable))
      .filter(isExecutable);
    const foreign = files.filter((file) => !realpathSync(file).startsWith(resolve(this.partsFolder) + sep));
    return [...new Set(foreign)];
  }
}

/** Whether a file is there and may be executed. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Runs a program's version command; undefined when that fails or nothing in its output looks like a version. */
export async function askVersion(
  file: string,
  versionCommand: readonly string[],
): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(file, versionCommand, {
      timeout: 20_000,
      env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
    });
    return findVersion(stdout) ?? findVersion(stderr);
  } catch {
    return undefined;
  }
}

function readMemory(file: string): Memory {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Memory;
  } catch {
    return {};
  }
}

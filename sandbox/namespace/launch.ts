/**
 * The outside half of the sandbox. It makes the run's directory, starts one program in fresh namespaces and
 * forwards ports of the host to it. Everything else happens inside, so that the kernel itself clears up:
 * when the launcher dies, `setpriv --pdeathsig` ends unshare, `--kill-child` ends the first process inside,
 * and with that one every process, interface, address and mount inside is gone.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import { SandboxError } from "../error";
import { openForward, type Forward, type OpenForward } from "./forward";
import { findNamespaceFlags } from "./permission";
import { forwardsVariable, logsVariable, runDirectoryVariable, runPaths } from "./run";
import { makeRunDirectory, removeTree, sweepStaleRuns } from "./stale";

/** What to run inside, and how it is reached. */
export interface LaunchOptions {
  /** Command and arguments; gets SIGTERM when it shall stop, and may use `enterNamespace()`. */
  readonly program: readonly string[];
  /** Variables for it on top of this process's own. Default: none. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Host ports. Default: none. */
  readonly forwards?: readonly Forward[];
  /**
   * For the parts' logs, so that they outlive the run: emptied at its start.
   * Default: in the run's directory, and removed with it.
   */
  readonly logDirectory?: string;
  /** Milliseconds the program gets to stop in order before everything is killed. Default 15,000. */
  readonly stopTimeout?: number;
}

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

// The first process inside. A line on file descriptor 3 becomes SIGTERM for the program, the descriptor's end
// SIGKILL (no signal from outside can name a process in here); it takes in orphans, and ends with the
// program's exit code.
const initScript = [
  "exec 4<&0",
  '"$@" <&4 3<&- 4<&- &',
  "program=$!",
  "{ read -r _ <&3; kill -TERM $program; read -r _ <&3; kill -KILL $program; } 4<&- >/dev/null 2>&1 &",
  "exec 3<&- 4<&-",
  "wait $program",
].join("\n");

/** The command line that runs a TypeScript file with this Node, for `LaunchOptions.program`. */
export function typescriptProgram(file: string, ...args: string[]): string[] {
  return [process.execPath, "--import", pathToFileURL(require.resolve("tsx")).href, file, ...args];
}

/**
 * Runs a program in fresh namespaces with this process's stdin, stdout and stderr, until it ends.
 * SIGINT, SIGTERM and SIGHUP ask it to stop; a second one kills it. Nothing of the run is left when it returns.
 *
 * @returns the program's exit code; 128 + n when signal n ended it.
 * @throws {SandboxError} when namespaces are not permitted here or the temporary directory does not fit.
 */
export async function launch(options: LaunchOptions): Promise<number> {
  const flags = findNamespaceFlags();
  await sweepStaleRuns();
  const directory = await makeRunDirectory();
  const forwards: OpenForward[] = [];
  try {
    const paths = runPaths(directory);
    await Promise.all([mkdir(paths.forwards), mkdir(paths.inner)]);
    const logDirectory = options.logDirectory ?? join(directory, "logs");
    await rm(logDirectory, { recursive: true, force: true });
    await mkdir(logDirectory, { recursive: true });
    for (const forward of options.forwards ?? []) forwards.push(await openForward(directory, forward));
    return await runProgram(options, flags, {
      [runDirectoryVariable]: directory,
      [logsVariable]: logDirectory,
      [forwardsVariable]: JSON.stringify(Object.fromEntries(forwards.map(({ name, port }) => [name, port]))),
    });
  } finally {
    await Promise.all(forwards.map((forward) => forward.close()));
    await removeTree(directory);
  }
}

async function runProgram(
  options: LaunchOptions,
  flags: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const inner = ["unshare", ...flags, "sh", "-c", initScript, "sandbox-init", ...options.program];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...inner], {
    // A session of its own: Ctrl-C at the terminal reaches the launcher alone, which then stops the rest in order.
    detached: true,
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, ...options.environment, ...environment },
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", (error) =>
      reject(new SandboxError(`setpriv could not be started: ${error.message}.`)),
    );
    child.once("exit", (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
  const stopping = new Stopping(child, options.stopTimeout ?? 15_000);
  for (const signal of stopSignals) process.on(signal, stopping.onSignal);
  try {
    return await ended;
  } finally {
    stopping.end();
    for (const signal of stopSignals) process.off(signal, stopping.onSignal);
  }
}

/** The way down: the first signal asks, the second (or the time limit) kills. */
class Stopping {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly child: ChildProcess,
    private readonly timeout: number,
  ) {
    // The program may be gone already when the pipe is closed.
    this.pipe().on("error", () => undefined);
  }

  readonly onSignal = (): void => {
    if (this.timer === undefined) {
      this.pipe().write("stop\n");
      this.timer = setTimeout(() => this.pipe().end(), this.timeout);
    } else {
      this.pipe().end();
    }
  };

  end(): void {
    clearTimeout(this.timer);
    this.pipe().destroy();
  }

  private pipe(): Writable {
    const pipe = this.child.stdio[3];
    if (pipe === null || pipe === undefined || !("write" in pipe))
      throw new Error("file descriptor 3 is not a pipe");
    return pipe;
  }
}

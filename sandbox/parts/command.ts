import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, closeSync, openSync, readFileSync } from "node:fs";

/** A command that could not be started, or that ended with another code than 0. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** The command was ended, or not even started, because of {@link stopCommands}. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export interface CommandOptions {
  /** The command line and all its output are appended here. */
  log: string;
  /** Default: the caller's. */
  cwd?: string;
  /** Default: the caller's environment. */
  environment?: NodeJS.ProcessEnv;
}

const running = new Set<ChildProcess>();
let stopped = false;

/**
 * Runs a command to its end and returns what it wrote to standard output.
 * @throws CommandError with the command and its exit code; the reason stands in the log.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<string> {
  throwIfStopped();
  appendFileSync(options.log, `$ ${[command, ...args].join(" ")}\n`);
  const log = openSync(options.log, "a");
  try {
    return await new Promise<string>((done, fail) => {
      // A process group of its own, so that a compiler's children end with it.
      const child = spawn(command, args, {
        cwd: options.cwd,
        env: options.environment,
        stdio: ["ignore", "pipe", log],
        detached: true,
      });
      running.add(child);
      let output = "";
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        appendFileSync(options.log, text);
      });
      child.on("error", (error) =>
        fail(new CommandError(`${command} could not be started: ${error.message}`)),
      );
      child
        .on("close", (code, signal) => {
          if (code === 0) done(output);
          else if (stopped) fail(new Interrupted("interrupted"));
          else
            fail(
              new CommandError(
                `${[command, ...args.slice(0, 2)].join(" ")} ended with ${signal ?? `exit code ${code}`}`,
              ),
            );
        })
        .on("close", () => running.delete(child));
    });
  } finally {
    closeSync(log);
  }
}

/** For waiting that is not done by a command. */
export function throwIfStopped(): void {
  if (stopped) throw new Interrupted("interrupted");
}

/** Ends every command that runs, with its children, and lets no further one start. */
export function stopCommands(): void {
  stopped = true;
  for (const child of running) {
    if (child.pid === undefined) continue;
    try {
      process.kill(-child.pid, "SIGTERM");
    } catch {
      // It ended by itself in between.
    }
  }
}

/** The last lines of a log, for an error message. */
export function lastLines(log: string, count = 12): string {
  return readFileSync(log, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}

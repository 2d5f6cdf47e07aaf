import { spawn } from "node:child_process";
import { open, readFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxError } from "./error";

/** What to run, where its output goes, and when it counts as started. */
export interface ProcessOptions {
  /** Name in messages, e.g. `istiod`. */
  readonly name: string;
  /** Program: an absolute path, or a name looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the few variables every part gets (see `partEnvironment`). Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. Default: this process's own. */
  readonly cwd?: string;
  /** Gets stdout and stderr, appended; its directory is made. */
  readonly logFile: string;
  /** Asked every 100 ms until it answers true; a rejection counts as "not yet". Default: ready at once. */
  readonly ready?: () => Promise<boolean>;
  /** Milliseconds that `ready` may take. Default 60,000. */
  readonly readyTimeout?: number;
  /** Milliseconds between SIGTERM and SIGKILL in `stop()`. Default 10,000. */
  readonly stopTimeout?: number;
}

/** How a process ended: by `code`, or by `signal`. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started process, leader of its own process group. */
export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Settles when the process has ended, whatever the reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly running: boolean;
  /** SIGTERM to the process group, SIGKILL after `stopTimeout`; settles when it has ended. May be called twice. */
  stop(): Promise<void>;
  /** SIGKILL to the process group at once; settles when it has ended. */
  kill(): Promise<void>;
}

const passedVariables = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"] as const;

/**
 * The variables of this process that a part may see. Everything else stays behind: a proxy setting, a
 * KUBECONFIG or cloud credentials of the user's shell must neither steer a part nor reach it.
 */
export function partEnvironment(
  extra: Readonly<Record<string, string>> = {},
  source: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of passedVariables) {
    const value = source[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...extra };
}

/**
 * Starts a program with its output in a log file and waits until it is ready.
 *
 * @throws {SandboxError} when it cannot be started, ends before it is ready, or is not ready in time; it is
 *   stopped then, and the message ends in its last log lines and the log's path.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const running = await spawnProcess(options);
  if (options.ready === undefined) return running;
  const readyTimeout = options.readyTimeout ?? 60_000;
  const outcome = await waitUntilReady(running, options.ready, readyTimeout);
  if (outcome === "ready") return running;
  await running.kill();
  const seconds = Math.round(readyTimeout / 1000);
  const what =
    outcome === "late"
      ? `did not become ready within ${seconds} s`
      : `ended before it was ready (${describeExit(outcome)})`;
  throw new SandboxError(
    `${options.name} ${what}: ${await logTail(options.logFile)}; log: ${options.logFile}`,
  );
}

/** `exit code 1` or `signal SIGKILL`. */
export function describeExit(exit: ProcessExit): string {
  return exit.signal === null ? `exit code ${exit.code ?? "unknown"}` : `signal ${exit.signal}`;
}

/** The last lines of a log in one line, for a message; `(the log is empty)` where there is nothing. */
export async function logTail(logFile: string, lines = 5): Promise<string> {
  const text = await readFile(logFile, "utf8").catch(() => "");
  const last = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-lines);
  if (last.length === 0) return "(the log is empty)";
  return last.map((line) => (line.length > 400 ? `${line.slice(0, 400)}…` : line)).join(" | ");
}

async function spawnProcess(options: ProcessOptions): Promise<RunningProcess> {
  await mkdir(dirname(options.logFile), { recursive: true });
  const log = await open(options.logFile, "a");
  try {
    const child = spawn(options.command, options.args, {
      // Own process group: a Ctrl-C at the terminal must reach the one who stops parts in order, not the parts.
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: partEnvironment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) =>
        reject(new SandboxError(`${options.name} could not be started: ${error.message}.`)),
      );
    });
    if (child.pid === undefined)
      throw new SandboxError(`${options.name} could not be started: it got no pid.`);
    return new ChildProcessHandle(
      options.name,
      child.pid,
      options.logFile,
      exited,
      options.stopTimeout ?? 10_000,
    );
  } finally {
    await log.close();
  }
}

class ChildProcessHandle implements RunningProcess {
  running = true;
  readonly exited: Promise<ProcessExit>;

  constructor(
    readonly name: string,
    readonly pid: number,
    readonly logFile: string,
    exited: Promise<ProcessExit>,
    private readonly stopTimeout: number,
  ) {
    this.exited = exited.then((exit) => {
      // What the leader started and left behind goes with it. Only now: later the number may be another's.
      this.signalGroup("SIGKILL");
      this.running = false;
      return exit;
    });
  }

  async stop(): Promise<void> {
    this.signalGroup("SIGTERM");
    const timer = setTimeout(() => this.signalGroup("SIGKILL"), this.stopTimeout);
    await this.exited;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    this.signalGroup("SIGKILL");
    await this.exited;
  }

  private signalGroup(signal: NodeJS.Signals): void {
    if (!this.running) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // ESRCH: the group is gone, which is what was asked for.
    }
  }
}

async function waitUntilReady(
  running: RunningProcess,
  ready: () => Promise<boolean>,
  timeout: number,
): Promise<"ready" | "late" | ProcessExit> {
  const deadline = Date.now() + timeout;
  const ended: { exit?: ProcessExit } = {};
  void running.exited.then((exit) => {
    ended.exit = exit;
  });
  while (Date.now() < deadline) {
    const left = deadline - Date.now();
    const answer = await Promise.race([
      ready().catch(() => false),
      running.exited.then(() => false),
      sleep(left, false, { ref: false }),
    ]);
    if (ended.exit !== undefined) return ended.exit;
    if (answer) return "ready";
    await Promise.race([sleep(100), running.exited]);
  }
  return ended.exit ?? "late";
}

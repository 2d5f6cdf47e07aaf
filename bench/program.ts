import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { closeSync, createWriteStream, openSync } from "node:fs";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { SandboxError } from "../sandbox/error";
import { logTail, partEnvironment } from "../sandbox/process";

export interface ProgramOptions {
  /** For messages. */
  name: string;
  /** The one core that it may use. */
  core: number;
  command: string;
  args: readonly string[];
  /** Its standard error. */
  log: string;
  /** Gets its standard output, which otherwise goes through a pipe to a `cat` on this core and away. */
  onOutput?: (chunk: Buffer) => void;
  drainCore?: number;
  /** Asked every 50 ms for at most 30 s. */
  ready: () => Promise<boolean>;
}

/** What has to end with this process, however it ends. */
const children = new Set<ChildProcess>();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));

/** A measured program, pinned to one core, whose standard output is a pipe that is drained. */
export class Program {
  private constructor(
    private readonly child: ChildProcess,
    readonly pid: number,
  ) {}

  /** @throws SandboxError with the end of its log when it does not become ready. */
  static async start({
    name,
    core,
    command,
    args,
    log,
    onOutput,
    drainCore,
    ready,
  }: ProgramOptions): Promise<Program> {
    const drain = drainCore === undefined ? undefined : openDrain(`${log}.pipe`, drainCore);
    const child = spawn("taskset", ["--cpu-list", String(core), command, ...args], {
      stdio: ["pipe", drain?.descriptor ?? "pipe", "pipe"],
      env: partEnvironment(),
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    if (drain !== undefined) closeSync(drain.descriptor);
    child.stderr?.pipe(createWriteStream(log));
    child.stdout?.on("data", (chunk: Buffer) => onOutput?.(chunk));
    await once(child, "spawn");
    // taskset becomes the program: the process id stays.
    const program = new Program(child, child.pid ?? 0);
    const deadline = Date.now() + 30_000;
    while (!(await ready().catch(() => false))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        await program.stop();
        throw new SandboxError(`${name} did not become ready: ${await logTail(log)}; log: ${log}`);
      }
      await delay(50);
    }
    return program;
  }

  /** SIGKILL: nothing of a measured program is needed any more. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exited;
  }
}

/**
 * A named pipe and a `cat` that empties it, as a container runtime does with a container's output. Node's own pipes to
 * children are sockets, which cannot be opened as `/dev/stdout`. The `cat` ends with the last writer.
 */
function openDrain(path: string, core: number): { descriptor: number } {
  execFileSync("mkfifo", [path]);
  const descriptor = openSync(path, "r+");
  const reader = openSync(path, "r");
  spawn("taskset", ["--cpu-list", String(core), "cat"], { stdio: [reader, "ignore", "ignore"] }).unref();
  closeSync(reader);
  return { descriptor };
}

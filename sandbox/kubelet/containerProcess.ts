import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { bubblewrapArguments, type ContainerRoot } from "./bubblewrap";
import type { Programs } from "./types";

/** How a container's command, or a command run inside it, came out. */
export interface ExecResult {
  exitCode: number;
  /** stdout and stderr, at most 10 KiB. */
  output: string;
}

/** One run of a container's command. */
export interface ContainerProcess {
  startedAt: Date;
  exited: Promise<{ exitCode: number; finishedAt: Date }>;
  /** Sends a signal to the container's process 1; nothing when it has ended. */
  signal(name: "SIGTERM" | "SIGKILL"): void;
  /** Runs a command inside the container, as its user and with its environment. Exit code 137 when time ran out. */
  exec(command: string[], timeoutMilliseconds: number): Promise<ExecResult>;
}

const outputLimit = 10 * 1024;

export interface StartOptions {
  root: ContainerRoot;
  /** Network namespace, a name for `ip netns`. */
  network: string;
  /** Gets stdout and stderr, appended, without a detour through this process. */
  logPath: string;
  programs: Programs;
}

/**
 * Starts a container's command.
 * @throws when bubblewrap cannot make the container (its complaint is in the container's log).
 */
export async function startContainer(options: StartOptions): Promise<ContainerProcess> {
  const { root, programs } = options;
  const bubblewrap = bubblewrapArguments(root);
  const command = [`--net=/run/netns/${options.network}`, programs.bwrap];
  // bubblewrap's options, and with them the environment, go through a pipe: a command line is everybody's to read.
  command.push("--args", "4", "--json-status-fd", "3", "--", ...root.command);
  const log = openSync(options.logPath, "a");
  const child = spawn(programs.nsenter, command, { stdio: ["ignore", log, log, "pipe", "pipe"], env: {} });
  closeSync(log);

  const startedAt = new Date();
  const exited = new Promise<{ exitCode: number; finishedAt: Date }>((resolve) => {
    child.once("error", () => resolve({ exitCode: 128, finishedAt: new Date() }));
    child.once("exit", (code) => resolve({ exitCode: code ?? 137, finishedAt: new Date() }));
  });
  writeOptions(pipeOf(child.stdio[4]), bubblewrap);
  const pid = await Promise.race([childPid(pipeOf(child.stdio[3])), exited.then(() => undefined)]);
  if (pid === undefined) throw new Error("bubblewrap could not make the container; see the container's log");

  let running = true;
  void exited.then(() => (running = false));
  return {
    startedAt,
    exited,
    signal: (name) => running && killQuietly(pid, name),
    exec: (inner, timeout) => execInside(programs.nsenter, pid, root, inner, timeout),
  };
}

function pipeOf(stream: unknown): Socket {
  if (stream instanceof Socket) return stream;
  throw new Error("could not start nsenter; is util-linux installed?");
}

function writeOptions(pipe: Socket, options: string[]): void {
  pipe.on("error", () => undefined); // bubblewrap ended before it read them all; its exit says so
  pipe.end(options.map((option) => `${option}\0`).join(""));
}

/** The number of the container's process 1 as this process sees it: the first thing bubblewrap reports. */
function childPid(status: Socket): Promise<number> {
  return new Promise((resolve) => {
    let text = "";
    status.on("error", () => undefined);
    status.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      const match = /"child-pid": (\d+)[^}]*}/.exec(text);
      if (match) resolve(Number(match[1]));
    });
  });
}

function execInside(
  nsenter: string,
  pid: number,
  root: ContainerRoot,
  command: string[],
  timeout: number,
): Promise<ExecResult> {
  const namespaces = ["--user", "--mount", "--pid", "--net", "--uts", "--ipc"];
  // The credentials stay (they are the container's user in its user namespace); exec as non-root drops capabilities.
  const inside = [
    `--wd=/proc/${pid}/root${root.workingDirectory}`,
    "--preserve-credentials",
    "--",
    ...command,
  ];
  const child = spawn(nsenter, ["--target", String(pid), ...namespaces, ...inside], {
    env: Object.fromEntries(root.environment),
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own: nsenter waits for a child in the container, and both must end when time runs out.
    detached: true,
  });
  return new Promise((resolve) => {
    let output = "";
    const collect = (chunk: Buffer): void => {
      if (output.length < outputLimit) output = (output + chunk.toString("utf8")).slice(0, outputLimit);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const timer = setTimeout(() => {
      if (child.pid !== undefined) killQuietly(-child.pid, "SIGKILL");
      resolve({ exitCode: 137, output: `timed out after ${timeout} ms` });
    }, timeout);
    const finish = (exitCode: number): void => {
      clearTimeout(timer);
      resolve({ exitCode, output });
    };
    child.once("error", (error) => {
      output += error.message;
      finish(128);
    });
    // "close" would wait for a background process that kept the pipe open.
    child.once("exit", (code) => finish(code ?? 137));
  });
}

function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in this very moment.
  }
}

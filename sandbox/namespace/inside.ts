import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { SandboxError } from "../error";
import { setUpNetwork } from "./network";
import { forwardsVariable, logsVariable, runDirectoryVariable, runPaths } from "./run";

const run = promisify(execFile);

/** The place a program of the sandbox finds itself in. */
export interface SandboxNamespace {
  /** The run's directory, mode 0700, on the host's file system: for what host tools read (kubeconfig). */
  readonly directory: string;
  /** A tmpfs that only exists inside: for data, keys, Pods' volumes, logs. */
  readonly innerDirectory: string;
  /** Directory of the parts' logs; `LaunchOptions.logDirectory` says whether it outlives the run. */
  readonly logDirectory: string;
  /** Host port (on 127.0.0.1) of each forward by name; serve them with `exposePort(directory, name, …)`. */
  readonly forwards: Readonly<Record<string, number>>;
}

/**
 * Called first thing by the program that `launch` started: sets up network and file systems (once, however
 * often it is called). Sets TMPDIR, so that temporary files of this process and its children vanish with the run.
 *
 * @throws {SandboxError} when the process was not started by `launch`.
 */
export async function enterNamespace(): Promise<SandboxNamespace> {
  const directory = process.env[runDirectoryVariable];
  const logDirectory = process.env[logsVariable];
  if (directory === undefined || logDirectory === undefined) {
    throw new SandboxError(
      "This program runs inside the sandbox's namespaces only: start it with `make sandbox`.",
    );
  }
  const { inner } = runPaths(directory);
  const temporary = join(inner, "tmp");
  // Made last: when it is there, all the rest is.
  if (!existsSync(temporary)) {
    await setUpNetwork();
    await run("mount", ["-t", "tmpfs", "-o", "mode=0755", "tmpfs", inner]);
    await mkdir(temporary);
  }
  process.env["TMPDIR"] = temporary;
  return { directory, innerDirectory: inner, logDirectory, forwards: readForwards() };
}

function readForwards(): Record<string, number> {
  const table: unknown = JSON.parse(process.env[forwardsVariable] ?? "{}");
  if (typeof table !== "object" || table === null) return {};
  const forwards: Record<string, number> = {};
  for (const [name, port] of Object.entries(table)) {
    if (typeof port === "number") forwards[name] = port;
  }
  return forwards;
}

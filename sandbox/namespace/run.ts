/**
 * What the launcher (outside) and the program (inside the namespaces) have in common: the run's directory
 * and the table of forwarded ports. It travels in environment variables.
 */
import { join } from "node:path";

/** Environment variable with the run's directory. */
export const runDirectoryVariable = "VPSIGHT_SANDBOX_RUN";
/** Environment variable with the forward table, JSON of `{ [name]: host port }`. */
export const forwardsVariable = "VPSIGHT_SANDBOX_FORWARDS";
/** Environment variable with the directory of the parts' logs. */
export const logsVariable = "VPSIGHT_SANDBOX_LOGS";

/** Where things of one run lie. All of it is removed when the run ends. */
export interface RunPaths {
  /** The run's directory, mode 0700, seen from outside and inside. */
  readonly directory: string;
  /** One unix socket per forwarded port: `<name>.sock`. */
  readonly forwards: string;
  /** A tmpfs that exists inside only; vanishes with the namespaces. */
  readonly inner: string;
}

/** The paths of the run in `directory`. */
export function runPaths(directory: string): RunPaths {
  return { directory, forwards: join(directory, "forward"), inner: join(directory, "inner") };
}

/** The unix socket that stands for the forwarded port `name`. */
export function forwardSocket(directory: string, name: string): string {
  return join(runPaths(directory).forwards, `${name}.sock`);
}

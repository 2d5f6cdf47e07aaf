import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where one step of the installer works. */
export interface Workshop {
  /** The parts folder. */
  directory: string;
  /** A folder of the step's own, empty at its start and removed at its end. */
  scratch: string;
  /** What its commands print goes here; stays for reading. */
  log: string;
  /** The environment of its commands. */
  environment: NodeJS.ProcessEnv;
}

/** Opens a workshop with an empty scratch folder and an empty log, runs the work and clears the scratch folder away. */
export async function inWorkshop<T>(
  directory: string,
  step: string,
  work: (workshop: Workshop) => Promise<T>,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<T> {
  const scratch = join(directory, "scratch", step);
  const log = join(directory, "logs", `${step}.log`);
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  mkdirSync(join(directory, "logs"), { recursive: true });
  mkdirSync(join(directory, "bin"), { recursive: true });
  mkdirSync(join(directory, "share"), { recursive: true });
  writeFileSync(log, "");
  try {
    return await work({ directory, scratch, log, environment });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

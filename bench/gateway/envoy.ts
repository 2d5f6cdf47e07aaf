import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { partPath } from "../../sandbox/parts/find";
import { Program } from "../program";

export interface EnvoyOptions {
  name: string;
  core: number;
  /** Port of its admin interface, as in the bootstrap. */
  admin: number;
  bootstrap: unknown;
  /** For its configuration and log. */
  directory: string;
  /** See `ProgramOptions`. */
  drainCore?: number;
}

/** An Envoy with one worker on one core. */
export function startEnvoy({
  name,
  core,
  admin,
  bootstrap,
  directory,
  drainCore,
}: EnvoyOptions): Promise<Program> {
  const file = join(directory, `${name}.json`);
  writeFileSync(file, JSON.stringify(bootstrap));
  return Program.start({
    ...{ name, core, command: partPath("envoy"), log: join(directory, `${name}.log`) },
    ...(drainCore === undefined ? {} : { drainCore }),
    args: ["--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
    ready: async () => (await fetch(`http://127.0.0.1:${admin}/ready`)).ok,
  });
}

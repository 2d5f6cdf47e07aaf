import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeFlags } from "../exporter/nodeFlags";
import { freePorts } from "./ports";
import { Program } from "./program";

export interface ExporterOptions {
  /** Path of the exporter's bundle. */
  bundle: string;
  /** Text of the inventory. */
  inventory: string;
  core: number;
  /** For the inventory and the log. */
  directory: string;
  /** Further flags of Node, before the bundle. Default none. */
  nodeArguments?: readonly string[];
}

/** The exporter as it is deployed: its bundle under stock Node. */
export async function launchExporter({
  bundle,
  inventory,
  core,
  directory,
  nodeArguments = [],
}: ExporterOptions): Promise<{ program: Program; otlp: number; http: number }> {
  const [otlp = 0, http = 0] = await freePorts(2);
  const file = join(directory, "inventory.json");
  writeFileSync(file, inventory);
  const program = await Program.start({
    ...{ name: "exporter", core, command: process.execPath, log: join(directory, "exporter.log") },
    args: [
      ...nodeFlags,
      ...nodeArguments,
      ...[bundle, "--inventory-file", file],
      ...["--otlp-listen", `127.0.0.1:${otlp}`, "--http-listen", `127.0.0.1:${http}`],
    ],
    ready: async () => (await fetch(`http://127.0.0.1:${http}/readyz`)).ok,
  });
  return { program, otlp, http };
}

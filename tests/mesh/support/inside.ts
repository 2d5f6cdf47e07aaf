import { spawn } from "node:child_process";
import { enterNamespace } from "../../../sandbox/namespace/inside";
import { namespaceVariable } from "./namespace";

/** Sets up the namespaces once and runs the given command in them: `inside.ts jest …`. */
async function main([command = "", ...args]: string[]): Promise<number> {
  const namespace = await enterNamespace();
  const child = spawn(command, args, {
    stdio: "inherit",
    env: { ...process.env, [namespaceVariable]: JSON.stringify(namespace) },
  });
  process.once("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);

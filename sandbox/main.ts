import * as path from "node:path";
import { SandboxError } from "./error";
import { launch, typescriptProgram } from "./namespace/launch";
import { partsDirectory } from "./parts/find";
import { announceProvider } from "./provider";

/** `make sandbox`, the checks and the drills: starts the program of that name in namespaces of its own. */
const programs: Readonly<Record<string, string>> = {
  live: "live.ts",
  once: "once.ts",
  kiali: "kialiCheck.ts",
  "drill-loss": "drills/loss.ts",
  "drill-scale": "drills/scale.ts",
};

/** Host ports, taken when they are free. */
const forwards = [
  { name: "kubernetes", port: 6443 },
  { name: "prometheus", port: 9090 },
  { name: "exporter", port: 9464 },
];

async function main(mode = ""): Promise<number> {
  const program = programs[mode];
  if (program === undefined)
    throw new SandboxError(`usage: main.ts ${Object.keys(programs).join("|")}; see \`make help\`.`);
  await announceProvider();
  return launch({
    program: typescriptProgram(path.join(__dirname, program)),
    forwards,
    logDirectory: path.join(partsDirectory(), "logs", "sandbox"),
  });
}

main(process.argv[2]).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof SandboxError ? error.message : String(error)}\n`);
    process.exit(1);
  },
);

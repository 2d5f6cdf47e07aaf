import * as path from "node:path";
import { SandboxError } from "./error";
import { launch, typescriptProgram } from "./namespace/launch";
import { partsDirectory } from "./parts/find";
import { announceProvider } from "./provider";

/** `make sandbox`, `make sandbox-once`, `make kiali-check`: starts the program of that name in namespaces of its own. */
const programs = { live: "live.ts", once: "once.ts", kiali: "kialiCheck.ts" } as const;
type Mode = keyof typeof programs;

/** Host ports, taken when they are free. */
const forwards = [
  { name: "kubernetes", port: 6443 },
  { name: "prometheus", port: 9090 },
  { name: "exporter", port: 9464 },
];

async function main(mode: string | undefined): Promise<number> {
  if (!isMode(mode))
    throw new SandboxError(`usage: main.ts ${Object.keys(programs).join("|")}; see \`make help\`.`);
  await announceProvider();
  return launch({
    program: typescriptProgram(path.join(__dirname, programs[mode])),
    forwards,
    logDirectory: path.join(partsDirectory(), "logs", "sandbox"),
  });
}

const isMode = (mode: string | undefined): mode is Mode =>
  mode !== undefined && Object.hasOwn(programs, mode);

main(process.argv[2]).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof SandboxError ? error.message : String(error)}\n`);
    process.exit(1);
  },
);

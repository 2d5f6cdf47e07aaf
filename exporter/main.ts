// First: where the bundle runs as a thread, it ends there.
import "./identify/background";
import { toError } from "./error";
import { ListenError } from "./listen";
import type { Log } from "./log";
import { createLog } from "./log";
import type { ExporterOptions } from "./options";
import { OptionsError, parseOptions } from "./options";
import { CertificateError } from "./receive/certificates";
import { ExporterService } from "./service";

const exitCodes = { done: 0, cannotStart: 1, wrongOptions: 2, interrupted: 130, terminated: 143 } as const;

/** Runs the exporter until a signal ends the process. */
async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  const log = createLog();
  // SIGINT is a person at a terminal, and a second SIGTERM somebody in a hurry: both end at once.
  process.once("SIGINT", () => process.exit(exitCodes.interrupted));
  let terminating = false;
  const started = start(options, log);
  process.on("SIGTERM", () => {
    if (terminating) process.exit(exitCodes.terminated);
    terminating = true;
    void started.then((service) => service.drain()).then(() => process.exit(exitCodes.done));
  });
  await started;
}

function readOptions(args: readonly string[]): ExporterOptions {
  try {
    return parseOptions(args);
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(exitCodes.wrongOptions);
  }
}

async function start(options: ExporterOptions, log: Log): Promise<ExporterService> {
  try {
    return await ExporterService.start(options, log);
  } catch (error) {
    if (!(error instanceof ListenError || error instanceof CertificateError)) throw error;
    log.error("cannot start", { problem: toError(error).message });
    process.exit(exitCodes.cannotStart);
  }
}

if (require.main === module) void main(process.argv.slice(2));

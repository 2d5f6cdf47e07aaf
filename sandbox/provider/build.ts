import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

/** The name under which the engine looks for the plug-in on PATH. */
export const pluginFile = "pulumi-resource-kubernetes";

const bundleFile = "server.js";
const stampFile = "built-from";

/**
 * Bundles the stand-in into `directory` as an executable `pulumi-resource-kubernetes`, unless what is there was
 * already made from these sources. Several at a time may ask for it.
 *
 * @throws Error when the sources do not build.
 */
export async function buildStandIn(directory: string): Promise<void> {
  const stamp = await sourcesHash();
  if ((await readFile(join(directory, stampFile), "utf8").catch(() => "")) === stamp) return;
  await mkdir(directory, { recursive: true });
  const result = await build({
    entryPoints: [join(__dirname, "server.ts")],
    bundle: true,
    platform: "node",
    target: "node22",
    format: "cjs",
    minifyWhitespace: true,
    outdir: directory,
    write: false,
    logLevel: "silent",
    legalComments: "none",
  });
  const bundle = result.outputFiles[0];
  if (bundle === undefined) throw new Error("esbuild made no output for the provider stand-in");
  await replaceFile(join(directory, bundleFile), bundle.contents);
  await replaceFile(join(directory, pluginFile), launcher(process.execPath), 0o755);
  await replaceFile(join(directory, stampFile), stamp);
}

/** Runs the bundle with the Node that built it: the one on PATH may be too old. */
function launcher(node: string): string {
  const quoted = `'${node.replaceAll("'", `'\\''`)}'`;
  return [
    "#!/bin/sh",
    "# vpsight's stand-in for the official Pulumi Kubernetes plug-in; made by sandbox/provider/build.ts.",
    `exec ${quoted} "$(dirname "$0")/${bundleFile}" "$@"`,
    "",
  ].join("\n");
}

/** By rename, so that an engine that starts the plug-in at this moment finds the old file or the new one, whole. */
async function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const fresh = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(fresh, content);
    await chmod(fresh, mode);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}

async function sourcesHash(): Promise<string> {
  const hash = createHash("sha256").update(process.execPath);
  const lockFile = join(__dirname, "../../package-lock.json");
  const sources = (await readdir(__dirname)).filter((name) => name.endsWith(".ts")).sort();
  for (const file of [...sources.map((name) => join(__dirname, name)), lockFile]) {
    hash.update(file).update(await readFile(file));
  }
  return hash.digest("hex");
}

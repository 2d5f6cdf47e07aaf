import { execFile } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import sdk from "@pulumi/kubernetes/package.json";
import { partEnvironment } from "../process";
import { partPath, partsDirectory } from "../parts/find";
import { buildStandIn, pluginFile } from "./build";

/** The plug-in that the engine is going to use for Kubernetes resources. */
export interface ProviderPlugin {
  readonly kind: "official" | "stand-in";
  /** To be put on the engine's PATH, first. */
  readonly directory: string;
  /** e.g. `4.34.2`; `unknown` for one that was found on PATH: the engine takes it whatever it is. */
  readonly version: string;
}

/** Where to look; all have defaults, tests give their own. */
export interface PluginSearch {
  /** Default: the process's PATH, PULUMI_HOME and HOME. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: {@link partsDirectory}. */
  readonly parts?: string;
  /** Tries to download the official plug-in into this PULUMI_HOME. Default: `pulumi plugin install`. */
  readonly install?: (home: string) => Promise<void>;
  /** Builds the stand-in into a folder. Default: {@link buildStandIn}. */
  readonly build?: (directory: string) => Promise<void>;
}

/** Milliseconds for the one attempt to download the official plug-in (some 40 MB). */
const installTimeout = 60_000;

/**
 * The official plug-in where it is on PATH, among Pulumi's plug-ins in the SDK's version, or to be downloaded; else
 * the stand-in, built from this folder. A download is tried once: whether it worked is noted in the parts folder
 * (`provider/download.json`; delete it to have it tried again), so that a warm start does not wait for it.
 *
 * Call it first where there is a network: inside the sandbox's namespaces there is none.
 */
export async function providerPlugin(search: PluginSearch = {}): Promise<ProviderPlugin> {
  const environment = search.environment ?? process.env;
  const parts = search.parts ?? partsDirectory();
  const standIn = join(parts, "provider", "stand-in");
  const ownHome = join(parts, "provider", "pulumi");
  // The stand-in's folder is on PATH itself once an engine has been opened in this process.
  const path = (environment["PATH"] ?? "")
    .split(delimiter)
    .filter((entry) => resolve(entry) !== resolve(standIn));
  const onPath = path.find((entry) => entry !== "" && isExecutable(join(entry, pluginFile)));
  if (onPath !== undefined) return { kind: "official", directory: onPath, version: "unknown" };

  const pulumiHome = environment["PULUMI_HOME"] ?? join(environment["HOME"] ?? homedir(), ".pulumi");
  const installed = () =>
    [pulumiHome, ownHome].map(pluginFolder).find((folder) => isExecutable(join(folder, pluginFile)));
  let folder = installed();
  if (
    folder === undefined &&
    (await mayDownload(join(parts, "provider"), ownHome, search.install ?? install))
  ) {
    folder = installed();
  }
  if (folder !== undefined) return { kind: "official", directory: folder, version: sdk.version };
  await (search.build ?? buildStandIn)(standIn);
  return { kind: "stand-in", directory: standIn, version: sdk.version };
}

function pluginFolder(home: string): string {
  return join(home, "plugins", `resource-kubernetes-v${sdk.version}`);
}

async function mayDownload(
  directory: string,
  home: string,
  download: (home: string) => Promise<void>,
): Promise<boolean> {
  const record = join(directory, "download.json");
  if (alreadyTried(record)) return false;
  const outcome = await download(home).then(
    () => "downloaded",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  await mkdir(directory, { recursive: true });
  await writeFile(record, `${JSON.stringify({ version: sdk.version, outcome }, undefined, 2)}\n`);
  return outcome === "downloaded";
}

function alreadyTried(record: string): boolean {
  try {
    const tried: unknown = JSON.parse(readFileSync(record, "utf8"));
    return typeof tried === "object" && tried !== null && "version" in tried && tried.version === sdk.version;
  } catch {
    return false;
  }
}

async function install(home: string): Promise<void> {
  await mkdir(home, { recursive: true });
  await promisify(execFile)(
    partPath("pulumi"),
    ["plugin", "install", "resource", "kubernetes", sdk.version],
    {
      timeout: installTimeout,
      killSignal: "SIGKILL",
      env: partEnvironment({ PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true", CI: "true" }),
    },
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

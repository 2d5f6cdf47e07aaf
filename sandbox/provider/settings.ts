import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { homedir } from "node:os";
import type { KubeConfig } from "@kubernetes/client-node";

/** The provider's configuration, after its defaults. */
export interface Settings {
  /** Content of a kubeconfig, or its path; `""`: KUBECONFIG, `~/.kube/config` or the Pod's own. */
  readonly kubeconfig: string;
  readonly context: string;
  readonly cluster: string;
  /** For objects that name none. Default: the context's, then `default`. */
  readonly namespace: string;
  /** A create takes over an object that is there already. Default false: it fails. */
  readonly upsert: boolean;
  /** Take fields from other managers. Default false. */
  readonly patchForce: boolean;
  readonly configMapMutable: boolean;
  readonly secretMutable: boolean;
  /** Drop an object from the state when its cluster cannot be reached. Default false. */
  readonly deleteUnreachable: boolean;
}

const prefix = "kubernetes:config:";

/** Options that this stand-in lacks; asking for one is an error rather than a surprise. */
const unsupported = ["renderYamlToDirectory", "skipUpdateUnreachable", "rejectUnknownResources"] as const;

/**
 * Reads what Configure sends: provider arguments as text, each falling back to its environment variable.
 *
 * @throws Error when an option is set that this stand-in does not have.
 */
export function readSettings(
  variables: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
  const text = (name: string) => variables.get(prefix + name) ?? "";
  const value = (name: string, variable: string) => text(name) || (environment[variable] ?? "");
  const flag = (name: string, variable: string) => value(name, variable) === "true";
  const asked = [
    ...unsupported.filter((name) => !["", "false"].includes(text(name))),
    ...(value("enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY") === "false"
      ? ["enableServerSideApply: false"]
      : []),
  ];
  if (asked.length > 0) {
    throw new Error(
      `the sandbox's stand-in for the Kubernetes provider has no ${asked.join(", ")}; ` +
        "leave it out or install the official plugin (pulumi plugin install resource kubernetes)",
    );
  }
  return {
    kubeconfig: text("kubeconfig"),
    context: text("context"),
    cluster: text("cluster"),
    namespace: text("namespace"),
    upsert: flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
    patchForce: flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
    configMapMutable: flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
    secretMutable: flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
    deleteUnreachable: flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
  };
}

/**
 * The kubeconfig that the settings name, with their context and cluster put in force.
 *
 * @throws Error when it cannot be read, or names no such context or cluster.
 */
export async function loadKubeConfig(
  settings: Pick<Settings, "kubeconfig" | "context" | "cluster">,
): Promise<KubeConfig> {
  // Imported late and by file: the client as a whole takes longer to load than the engine should wait for a port.
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const config = new KubeConfig();
  if (settings.kubeconfig === "") config.loadFromDefault();
  else if (isPath(settings.kubeconfig)) config.loadFromFile(expandHome(settings.kubeconfig));
  else config.loadFromString(settings.kubeconfig);
  if (settings.context !== "") {
    if (config.getContextObject(settings.context) === null) {
      throw new Error(`context ${JSON.stringify(settings.context)} does not exist in the kubeconfig`);
    }
    config.setCurrentContext(settings.context);
  }
  if (settings.cluster !== "") overrideCluster(config, settings.cluster);
  return config;
}

function overrideCluster(config: KubeConfig, name: string): void {
  if (config.getCluster(name) === null) {
    throw new Error(`cluster ${JSON.stringify(name)} does not exist in the kubeconfig`);
  }
  const current = config.getCurrentContext();
  config.contexts = config.contexts.map((context) =>
    context.name === current ? { ...context, cluster: name } : context,
  );
}

/** The namespace of objects that name none. */
export function defaultNamespace(settings: Settings, config: KubeConfig | undefined): string {
  const context = config?.getContextObject(config.getCurrentContext());
  return settings.namespace || context?.namespace || "default";
}

/** The active cluster's identity for DiffConfig: its server; `undefined` when the kubeconfig says none. */
export async function activeServer(
  settings: Pick<Settings, "kubeconfig" | "context" | "cluster">,
): Promise<string | undefined> {
  if (settings.kubeconfig === "") return undefined;
  try {
    return (await loadKubeConfig(settings)).getCurrentCluster()?.server;
  } catch {
    // A kubeconfig that is gone (a sandbox of before) tells nothing of its cluster.
    return undefined;
  }
}

function isPath(pathOrContent: string): boolean {
  if (pathOrContent.includes("\n") || /^\s*[{]/.test(pathOrContent)) return false;
  return isAbsolute(pathOrContent) || pathOrContent.startsWith("~/") || existsSync(pathOrContent);
}

function expandHome(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}

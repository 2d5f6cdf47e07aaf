import type {
  V1DownwardAPIVolumeFile,
  V1KeyToPath,
  V1Pod,
  V1Volume,
  V1VolumeProjection,
} from "@kubernetes/client-node";
import type { ObjectSource } from "./environment";
import { fieldValue, type PodFacts, resourceValue } from "./fields";

/** One file of a volume. */
export interface VolumeFile {
  content: Buffer;
  /** Permission bits, e.g. 0o644. */
  mode: number;
}

/** Files of a volume by their path inside it. */
export type VolumeFiles = Map<string, VolumeFile>;

/** A volume cannot be filled now; the Pod waits in ContainerCreating, and it is tried again. */
export class VolumeError extends Error {
  override readonly name = "VolumeError";
}

/** A ServiceAccount token that a projected volume asks for. */
export interface TokenWish {
  /** Empty: the API server's own audience. */
  audience: string;
  expirationSeconds: number;
  path: string;
}

export interface ProjectionContext {
  facts: PodFacts;
  objects: ObjectSource;
  /** Tokens fetched beforehand, see `tokensWanted`. */
  token: (wish: TokenWish) => string | undefined;
}

const defaultMode = 0o644;

/** Every token that a Pod's volumes ask for. */
export function tokensWanted(pod: V1Pod): TokenWish[] {
  const sources = (pod.spec?.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
  return sources.flatMap(({ serviceAccountToken: token }) =>
    token
      ? [
          {
            audience: token.audience ?? "",
            expirationSeconds: token.expirationSeconds ?? 3600,
            path: token.path,
          },
        ]
      : [],
  );
}

/**
 * The files of a configMap, secret, downwardAPI or projected volume.
 * @returns undefined for a volume that holds no files of the kubelet's (emptyDir).
 * @throws VolumeError when an object or key that is not optional is missing, or the kind of volume is refused.
 */
export function volumeFiles(volume: V1Volume, context: ProjectionContext): VolumeFiles | undefined {
  if (volume.emptyDir) return undefined;
  if (volume.configMap) {
    return project([{ configMap: volume.configMap }], volume.configMap.defaultMode, context);
  }
  if (volume.secret) {
    const { secretName: name, items, optional, defaultMode: mode } = volume.secret;
    const secret = { ...(name && { name }), ...(items && { items }), ...(optional && { optional }) };
    return project([{ secret }], mode, context);
  }
  if (volume.downwardAPI)
    return project([{ downwardAPI: volume.downwardAPI }], volume.downwardAPI.defaultMode, context);
  if (volume.projected) return project(volume.projected.sources ?? [], volume.projected.defaultMode, context);
  const kind = Object.keys(volume).find((key) => key !== "name") ?? "none";
  throw new VolumeError(
    `volume "${volume.name}": ${kind} is refused by the sandbox's kubelet; ` +
      "it has configMap, secret, emptyDir, downwardAPI and projected",
  );
}

function project(
  sources: V1VolumeProjection[],
  mode: number | undefined,
  context: ProjectionContext,
): VolumeFiles {
  const files: VolumeFiles = new Map();
  for (const source of sources) {
    for (const [path, file] of projectOne(source, mode ?? defaultMode, context)) files.set(path, file);
  }
  return files;
}

function projectOne(source: V1VolumeProjection, mode: number, context: ProjectionContext): VolumeFiles {
  if (source.configMap) {
    const { name = "", items, optional } = source.configMap;
    const found = context.objects.configMap(name);
    const content = new Map<string, Buffer>();
    for (const [key, text] of Object.entries(found?.data ?? {})) content.set(key, Buffer.from(text, "utf8"));
    for (const [key, text] of Object.entries(found?.binaryData ?? {}))
      content.set(key, Buffer.from(text, "base64"));
    return pick(`configmap "${name}"`, found && content, items, optional, mode);
  }
  if (source.secret) {
    const { name = "", items, optional } = source.secret;
    const found = context.objects.secret(name);
    const content = new Map<string, Buffer>();
    for (const [key, text] of Object.entries(found?.data ?? {}))
      content.set(key, Buffer.from(text, "base64"));
    return pick(`secret "${name}"`, found && content, items, optional, mode);
  }
  if (source.downwardAPI) {
    const files = (source.downwardAPI.items ?? []).map((item): [string, VolumeFile] => [
      item.path,
      { content: Buffer.from(downward(item, context.facts), "utf8"), mode: item.mode ?? mode },
    ]);
    return new Map(files);
  }
  if (source.serviceAccountToken) {
    const { audience = "", expirationSeconds = 3600, path } = source.serviceAccountToken;
    const token = context.token({ audience, expirationSeconds, path });
    if (token === undefined) throw new VolumeError(`no token yet for audience "${audience}"`);
    // A real kubelet gives a token the mode 0600 for the user that runs the container.
    return new Map([[path, { content: Buffer.from(token, "utf8"), mode: 0o600 }]]);
  }
  throw new VolumeError(
    `a projected source ${Object.keys(source).join(", ")} is not known to the sandbox's kubelet`,
  );
}

function pick(
  what: string,
  content: ReadonlyMap<string, Buffer> | undefined,
  items: V1KeyToPath[] | undefined,
  optional: boolean | undefined,
  mode: number,
): VolumeFiles {
  if (!content) {
    if (optional) return new Map();
    throw new VolumeError(`${what} not found`);
  }
  if (!items) return new Map([...content].map(([key, value]) => [key, { content: value, mode }]));
  const files: VolumeFiles = new Map();
  for (const item of items) {
    const value = content.get(item.key);
    if (value) files.set(item.path, { content: value, mode: item.mode ?? mode });
    else if (!optional) throw new VolumeError(`${what} has no key "${item.key}"`);
  }
  return files;
}

function downward(item: V1DownwardAPIVolumeFile, facts: PodFacts): string {
  if (item.resourceFieldRef) return resourceValue(item.resourceFieldRef, facts);
  const path = item.fieldRef?.fieldPath ?? "";
  const value = fieldValue(path, facts);
  if (value === undefined)
    throw new VolumeError(`field path "${path}" is not known to the sandbox's kubelet`);
  return value;
}

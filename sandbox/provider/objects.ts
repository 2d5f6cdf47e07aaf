import { createHash, randomBytes } from "node:crypto";
import { isProperties, propertiesAt, textAt, type Properties, type Value } from "./values";

/** What a resource's URN says of the Kubernetes object behind it. */
export interface ResourceType {
  /** `v1` or `group/version`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** A `…Patch` resource: it owns some fields of an object that belongs to somebody else. */
  readonly patch: boolean;
}

/** The type token in a URN, e.g. `kubernetes:apps/v1:Deployment`. */
export function tokenOf(urn: string): string {
  const qualified = urn.split("::")[2] ?? "";
  return qualified.slice(qualified.lastIndexOf("$") + 1);
}

/** The resource's name in the program. */
export function nameInUrn(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/**
 * `kubernetes:core/v1:Service` is `v1`, all others carry `group/version`. A token that ends in `Patch` names a
 * patch, unless the object itself says that its kind ends so (`declaredKind`).
 *
 * @throws Error for a token that is not of the form `kubernetes:group/version:Kind`.
 */
export function resourceType(urn: string, declaredKind?: string): ResourceType {
  const token = tokenOf(urn);
  const [packageName, moduleName, name] = token.split(":");
  if (packageName !== "kubernetes" || moduleName === undefined || name === undefined) {
    throw new Error(`unrecognized resource type ${JSON.stringify(token)} for this provider`);
  }
  const apiVersion = moduleName.startsWith("core/") ? moduleName.slice("core/".length) : moduleName;
  const patch = name.endsWith("Patch") && name !== declaredKind;
  return { apiVersion, kind: patch ? name.slice(0, -"Patch".length) : name, patch };
}

/** Names an object as the engine's id does: `namespace/name`, or `name` where there is no namespace. */
export function objectId(object: Properties): string {
  const metadata = propertiesAt(object, "metadata");
  const namespace = textAt(metadata, "namespace");
  return namespace === "" ? textAt(metadata, "name") : `${namespace}/${textAt(metadata, "name")}`;
}

/** The reverse of {@link objectId}; without a namespace that is `""`. */
export function parseObjectId(id: string): { namespace: string; name: string } {
  const slash = id.indexOf("/");
  return slash < 0
    ? { namespace: "", name: id }
    : { namespace: id.slice(0, slash), name: id.slice(slash + 1) };
}

export const metadataOf = (object: Properties): Properties => propertiesAt(object, "metadata");
export const nameOf = (object: Properties): string => textAt(metadataOf(object), "name");
export const namespaceOf = (object: Properties): string => textAt(metadataOf(object), "namespace");

/** An annotation's value, or `""`. */
export function annotation(object: Properties, key: string): string {
  return textAt(propertiesAt(metadataOf(object), "annotations"), key);
}

/** The annotations that steer the official provider and are honoured here. */
export const annotations = {
  autonamed: "pulumi.com/autonamed",
  deletionPropagation: "pulumi.com/deletionPropagationPolicy",
  fieldManager: "pulumi.com/patchFieldManager",
  force: "pulumi.com/patchForce",
  skipAwait: "pulumi.com/skipAwait",
  timeoutSeconds: "pulumi.com/timeoutSeconds",
} as const;

/** A copy with some keys of its metadata set; a key given as `undefined` is taken out. */
export function withMetadata(object: Properties, changes: Record<string, Value | undefined>): Properties {
  const metadata = { ...metadataOf(object) };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete metadata[key];
    else metadata[key] = value;
  }
  return { ...object, metadata };
}

/** Nothing but the object's identity: applying that gives back every field of the manager. */
export function identity(object: Properties): Properties {
  const namespace = namespaceOf(object);
  return {
    apiVersion: textAt(object, "apiVersion"),
    kind: textAt(object, "kind"),
    metadata: namespace === "" ? { name: nameOf(object) } : { name: nameOf(object), namespace },
  };
}

/** `name-` and eight hex digits, from the engine's seed where it gives one. */
export function uniqueName(name: string, seed: Uint8Array): string {
  const source = seed.length > 0 ? createHash("sha256").update(seed).digest() : randomBytes(4);
  return `${name}-${source.toString("hex").slice(0, 8)}`;
}

const readOnlyMetadata = [
  "creationTimestamp",
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "generation",
  "managedFields",
  "resourceVersion",
  "uid",
];

/** A copy without what only the API server writes. */
export function withoutReadOnlyMetadata(object: Properties): Properties {
  if (!isProperties(object["metadata"])) return object;
  return withMetadata(object, Object.fromEntries(readOnlyMetadata.map((key) => [key, undefined])));
}

/** Whether Kubernetes itself defines the kind; everything else comes from a CustomResourceDefinition. */
export function isBuiltIn(apiVersion: string): boolean {
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  return !group.includes(".") || (group.endsWith(".k8s.io") && !group.startsWith("gateway."));
}

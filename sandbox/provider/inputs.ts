import {
  annotation,
  annotations,
  identity,
  isBuiltIn,
  metadataOf,
  nameInUrn,
  nameOf,
  namespaceOf,
  uniqueName,
  withMetadata,
  withoutReadOnlyMetadata,
  type ResourceType,
} from "./objects";
import { isProperties, omit, propertiesAt, revealSecrets, type Properties } from "./values";

/** What {@link completeInputs} fills in, beside what the program says. */
export interface Completion {
  readonly urn: string;
  readonly type: ResourceType;
  /** The inputs of before; empty for a new resource. */
  readonly old: Properties;
  /** The engine's seed for a name. */
  readonly seed: Uint8Array;
  /** The namespace to take where the object names none; `""` for a kind without. */
  readonly namespace: () => Promise<string>;
}

/**
 * The program's inputs with kind, name and namespace filled in, and without what only the API server writes.
 *
 * @throws Error when a patch names no object: there is none to be made up.
 */
export async function completeInputs(wanted: Properties, completion: Completion): Promise<Properties> {
  const { type, urn, seed } = completion;
  const plain = revealSecrets(wanted);
  const named: Properties = { apiVersion: type.apiVersion, kind: type.kind, ...withoutNulls(wanted) };
  // Metadata that is not known yet as a whole gets its name when it is.
  if (plain["metadata"] !== undefined && !isProperties(plain["metadata"])) return named;
  let object = named;
  if (nameOf(plain) === "") {
    if (type.patch) throw new Error("patch resources require the `.metadata.name` field to be set");
    const old = revealSecrets(completion.old);
    const adopted = annotation(old, annotations.autonamed) === "true" ? nameOf(old) : "";
    object = withMetadata(object, {
      name: adopted || uniqueName(nameInUrn(urn), seed),
      annotations: { ...propertiesAt(metadataOf(object), "annotations"), [annotations.autonamed]: "true" },
    });
  }
  object = withoutReadOnlyMetadata(object);
  if (namespaceOf(plain) !== "") return object;
  const namespace = await completion.namespace();
  return namespace === "" ? object : withMetadata(object, { namespace });
}

/**
 * The inputs of an object that is imported: all it says, or for a custom resource, whose schema is not known here
 * either, nothing but its identity.
 */
export function importedInputs(live: Properties, type: ResourceType): Properties {
  if (!isBuiltIn(type.apiVersion) || type.patch) return identity(live);
  return withoutServerAnnotations(omit(withoutReadOnlyMetadata(live), "status"));
}

function withoutServerAnnotations(object: Properties): Properties {
  const found = metadataOf(object)["annotations"];
  if (!isProperties(found)) return object;
  const kept = omit(
    found,
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
  );
  return withMetadata(object, { annotations: Object.keys(kept).length === 0 ? undefined : kept });
}

function withoutNulls(bag: Properties): Properties {
  return Object.fromEntries(
    Object.entries(bag).flatMap(([key, value]) =>
      value === null ? [] : [[key, isProperties(value) ? withoutNulls(value) : value]],
    ),
  );
}

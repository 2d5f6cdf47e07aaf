import { ApiError, type ApiServer, type Place } from "./api";
import { annotation, annotations, identity, metadataOf } from "./objects";
import { isProperties, listAt, propertiesAt, textAt, type Properties } from "./values";

/** How an object is written. */
export interface WriteOptions {
  readonly fieldManager: string;
  /** A server-side dry run. */
  readonly preview: boolean;
  /** Take fields from other managers instead of failing with a conflict. */
  readonly force: boolean;
}

/** POST: fails when the object exists. */
export async function createObject(
  api: ApiServer,
  place: Place,
  object: Properties,
  options: WriteOptions,
): Promise<Properties> {
  return await api.request("POST", await api.path(place), {
    query: { fieldManager: options.fieldManager, ...dryRun(options) },
    body: object,
  });
}

/** PUT of the whole object at the version of `live`. */
export async function replaceObject(
  api: ApiServer,
  place: Place,
  object: Properties,
  live: Properties,
  options: WriteOptions,
): Promise<Properties> {
  const metadata = { ...metadataOf(object), resourceVersion: textAt(metadataOf(live), "resourceVersion") };
  return await api.request("PUT", await api.path(place, place.name), {
    query: { fieldManager: options.fieldManager, ...dryRun(options) },
    body: { ...object, metadata },
  });
}

/**
 * Server-side apply: makes the object where it is missing.
 * @throws ApiError; a conflict says which fields and whose (`conflict with "helm"`).
 */
export async function applyObject(
  api: ApiServer,
  place: Place,
  object: Properties,
  options: WriteOptions,
): Promise<Properties> {
  try {
    return await api.request("PATCH", await api.path(place, place.name), {
      query: { fieldManager: options.fieldManager, force: String(options.force), ...dryRun(options) },
      // Every JSON document is a YAML document, so no YAML has to be written.
      contentType: "application/apply-patch+yaml",
      body: object,
    });
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== "Conflict") throw error;
    const message =
      "Server-Side Apply field conflict detected. See https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/" +
      "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting help.\n" +
      `The resource managed by field manager ${JSON.stringify(options.fieldManager)} had an apply conflict: ${error.message}`;
    throw new ApiError(message, error.status, error.reason, error.causes);
  }
}

/** Gives back every field of a manager: those nobody else owns go away, the others stay. */
export async function relinquish(
  api: ApiServer,
  place: Place,
  object: Properties,
  fieldManager: string,
): Promise<void> {
  await applyObject(api, place, identity(object), { fieldManager, preview: false, force: false });
}

/** Whether conflicts are to be overridden, by annotation or by the provider's option. */
export function forced(object: Properties, patchForce: boolean): boolean {
  return annotation(object, annotations.force) === "true" || patchForce;
}

function dryRun(options: WriteOptions): Record<string, string> {
  return options.preview ? { dryRun: "All" } : {};
}

/**
 * An object made by POST (or by kubectl) has its fields owned by "Update" entries. To the API server these are other
 * managers than the one that applies, even under the same name, so a first apply would conflict with itself:
 * https://github.com/kubernetes/kubernetes/issues/99003. The official provider moves them over before it applies.
 *
 * @returns the managed fields with those entries made ours, or `undefined` when there is nothing to move.
 */
export function adoptManagedFields(live: Properties, fieldManager: string): Properties[] | undefined {
  const entries = listAt(metadataOf(live), "managedFields");
  const ours = entries.filter((entry) => belongsToUs(entry, fieldManager));
  const applied = entries.find((entry) => isOwnApply(entry, fieldManager));
  const first = ours[0];
  if (first === undefined) return undefined;
  const fields = [...(applied === undefined ? [] : [applied]), ...ours].map((entry) =>
    propertiesAt(entry, "fieldsV1"),
  );
  const moved: Properties = {
    ...first,
    manager: fieldManager,
    operation: "Apply",
    fieldsV1: fields.reduce(mergeFields, {}),
  };
  return [moved, ...entries.filter((entry) => entry !== applied && !ours.includes(entry))];
}

/** Writes what {@link adoptManagedFields} found; `live` again when there was nothing to move. */
export async function moveManagedFields(
  api: ApiServer,
  place: Place,
  live: Properties,
  fieldManager: string,
): Promise<Properties> {
  const managedFields = adoptManagedFields(live, fieldManager);
  if (managedFields === undefined) return live;
  return await api.request("PATCH", await api.path(place, place.name), {
    contentType: "application/json-patch+json",
    body: [
      { op: "replace", path: "/metadata/managedFields", value: managedFields },
      // Refused when somebody wrote in between.
      {
        op: "replace",
        path: "/metadata/resourceVersion",
        value: textAt(metadataOf(live), "resourceVersion"),
      },
    ],
  });
}

const adoptedPrefixes = ["kubectl", "before-first-apply", "pulumi-kubernetes", "pulumi-resource-kubernetes"];

function belongsToUs(entry: Properties, fieldManager: string): boolean {
  const manager = textAt(entry, "manager");
  if (textAt(entry, "subresource") !== "") return false;
  if (textAt(entry, "operation") === "Apply") return manager === "kubectl" && manager !== fieldManager;
  return manager === fieldManager || adoptedPrefixes.some((prefix) => manager.startsWith(prefix));
}

function isOwnApply(entry: Properties, fieldManager: string): boolean {
  return (
    textAt(entry, "manager") === fieldManager &&
    textAt(entry, "operation") === "Apply" &&
    textAt(entry, "subresource") === ""
  );
}

function mergeFields(first: Properties, second: Properties): Properties {
  const merged = { ...first };
  for (const [key, value] of Object.entries(second)) {
    const present = merged[key];
    merged[key] = isProperties(present) && isProperties(value) ? mergeFields(present, value) : value;
  }
  return merged;
}

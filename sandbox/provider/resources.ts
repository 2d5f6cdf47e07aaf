import { ApiError, UnknownKindError, type Place } from "./api";
import {
  adoptManagedFields,
  applyObject,
  createObject,
  forced,
  moveManagedFields,
  relinquish,
  replaceObject,
} from "./apply";
import { fieldManagerOf, readCheckpoint, writeCheckpoint } from "./checkpoint";
import type { Connection } from "./connection";
import { compareObjects, pruneLive, type Comparison } from "./difference";
import { completeInputs, importedInputs } from "./inputs";
import {
  annotation,
  annotations,
  metadataOf,
  nameOf,
  namespaceOf,
  objectId,
  parseObjectId,
  resourceType,
  withMetadata,
  withoutReadOnlyMetadata,
  type ResourceType,
} from "./objects";
import {
  describe,
  explainRequiredField,
  isGone,
  isNoPreview,
  PartialError,
  retryMissing,
  timeoutOf,
} from "./outcome";
import { defaultTimeouts, NotReadyError, readOrUndefined, waitUntilGone, waitUntilReady } from "./readiness";
import { hideLike, omit, propertiesAt, revealSecrets, textAt, type Properties } from "./values";

/** A resource's id and what to store of it. */
export interface Stored {
  readonly id: string;
  readonly state: Properties;
}

/** The life of one kind of thing: any Kubernetes object, or some fields of it (a patch). */
export class Resources {
  constructor(private readonly connection: Connection) {}

  /** The inputs with name and namespace filled in. @throws Error when a patch names no object */
  async check(urn: string, wanted: Properties, old: Properties, seed: Uint8Array): Promise<Properties> {
    const type = resourceType(urn, textAt(revealSecrets(wanted), "kind"));
    const namespace = async () =>
      (await this.connection.isNamespaced(type)) ? this.connection.namespace : "";
    return await completeInputs(wanted, { urn, type, old, seed, namespace });
  }

  diff(urn: string, state: Properties, oldInputs: Properties, wanted: Properties): Comparison {
    const { settings } = this.connection;
    const checkpoint = readCheckpoint(state, oldInputs);
    const plain = withoutReadOnlyMetadata(revealSecrets(wanted));
    const old = withoutReadOnlyMetadata(revealSecrets(checkpoint.inputs));
    return compareObjects(old, plain, {
      patch: resourceType(urn, textAt(plain, "kind")).patch,
      configMapMutable: settings.configMapMutable,
      secretMutable: settings.secretMutable,
    });
  }

  async create(urn: string, inputs: Properties, preview: boolean, timeout: number): Promise<Stored> {
    const object = revealSecrets(inputs);
    const type = resourceType(urn, textAt(object, "kind"));
    // A patch's first preview is blind, as the official provider's: to a conflict and to a missing object.
    if (preview && (type.patch || !(await this.connection.canPreview(urn, object, type))))
      return { id: "", state: inputs };
    const api = this.connection.requireApi();
    const place = placeOf(object, type);
    const fieldManager = fieldManagerOf(inputs);
    const { upsert, patchForce } = this.connection.settings;
    const write = () =>
      type.patch || upsert
        ? applyObject(api, place, object, {
            fieldManager,
            preview,
            force: preview || forced(object, patchForce),
          })
        : createObject(api, place, object, { fieldManager, preview, force: false });
    try {
      const live = preview
        ? await write()
        : await retryMissing(write, this.onRetry(urn), this.connection.canceled);
      if (preview) return { id: "", state: writeCheckpoint(omit(live, "status"), inputs, fieldManager) };
      return await this.settle(urn, live, inputs, fieldManager, type, timeout, "created");
    } catch (error) {
      if (preview && isNoPreview(error)) return { id: "", state: inputs };
      throw describe(
        error,
        `resource ${JSON.stringify(urn)} was not successfully created by the Kubernetes API server`,
      );
    }
  }

  async update(
    urn: string,
    state: Properties,
    inputs: Properties,
    preview: boolean,
    timeout: number,
  ): Promise<Properties> {
    const object = withoutReadOnlyMetadata(revealSecrets(inputs));
    const type = resourceType(urn, textAt(object, "kind"));
    if (preview && !(await this.connection.canPreview(urn, object, type))) return inputs;
    const api = this.connection.requireApi();
    const place = placeOf(object, type);
    const old = readCheckpoint(state);
    const fieldManager = fieldManagerOf(inputs, old.fieldManager);
    try {
      const before = await api.request("GET", await api.path(place, place.name));
      const live = await this.write(place, type, object, before, fieldManager, preview);
      if (preview) return writeCheckpoint(omit(live, "status"), inputs, fieldManager);
      if (old.fieldManager !== "" && old.fieldManager !== fieldManager) {
        await relinquish(api, place, object, old.fieldManager);
      }
      return (await this.settle(urn, live, inputs, fieldManager, type, timeout, "updated")).state;
    } catch (error) {
      if (preview && error instanceof ApiError && error.status === 403) return inputs;
      throw describe(error, `update of resource ${JSON.stringify(urn)} failed`);
    }
  }

  /**
   * The object as it is now: `undefined` when it is gone. Without old inputs (an import) the inputs are all the
   * object says, or for a custom resource, whose schema is not known here, its identity alone.
   */
  async read(
    urn: string,
    id: string,
    state: Properties,
    oldInputs: Properties,
  ): Promise<(Stored & { inputs: Properties }) | undefined> {
    if (this.connection.dropUnreachable(urn)) return undefined;
    const api = this.connection.requireApi({ orDelete: true });
    const checkpoint = readCheckpoint(state, oldInputs);
    const known = Object.keys(oldInputs).length > 0;
    const type = resourceType(urn, textAt(revealSecrets(oldInputs), "kind"));
    const { namespace, name } = parseObjectId(id);
    let live: Properties | undefined;
    try {
      live = await readOrUndefined(api, await api.path({ ...type, namespace }, name));
    } catch (error) {
      // With its definition the custom resource is gone, too.
      if (!(error instanceof UnknownKindError)) {
        throw describe(error, `resource ${JSON.stringify(urn)} could not be read`);
      }
    }
    if (live === undefined) return undefined;
    const inputs = known
      ? hideLike(pruneLive(live, revealSecrets(oldInputs)), oldInputs)
      : importedInputs(live, type);
    const fieldManager = fieldManagerOf(inputs, checkpoint.fieldManager);
    return { id, inputs, state: writeCheckpoint(live, inputs, fieldManager) };
  }

  /** Deletes an object and waits until it is gone; of a patch it gives back the fields. */
  async delete(
    urn: string,
    id: string,
    state: Properties,
    oldInputs: Properties,
    timeout: number,
  ): Promise<void> {
    if (this.connection.dropUnreachable(urn)) return;
    const api = this.connection.requireApi({ orDelete: true });
    const checkpoint = readCheckpoint(state, oldInputs);
    const inputs = revealSecrets(checkpoint.inputs);
    const type = resourceType(urn, textAt(inputs, "kind"));
    const place = { ...placeOf(inputs, type), ...parseObjectId(id) };
    try {
      if (type.patch) {
        const live = withMetadata({ apiVersion: type.apiVersion, kind: type.kind }, namedPlace(place));
        await relinquish(api, place, live, fieldManagerOf(checkpoint.inputs, checkpoint.fieldManager));
        return;
      }
      const path = await api.path(place, place.name);
      const gone = await api.request("DELETE", path, { body: deleteOptions(inputs) });
      if (annotation(inputs, annotations.skipAwait) === "true" && skipsDeletion.has(type.kind)) return;
      const uid = textAt(metadataOf(gone), "uid") || textAt(propertiesAt(gone, "details"), "uid");
      await waitUntilGone(
        api,
        place,
        uid,
        this.wait(urn, timeoutOf(timeout, inputs, defaultTimeouts.deletion)),
      );
      if (type.kind === "CustomResourceDefinition") api.forgetKinds();
    } catch (error) {
      if (isGone(error) && !type.patch) return;
      if (error instanceof UnknownKindError) return;
      throw type.patch ? explainRequiredField(error) : describe(error, "");
    }
  }

  private async write(
    place: Place,
    type: ResourceType,
    object: Properties,
    before: Properties,
    fieldManager: string,
    preview: boolean,
  ): Promise<Properties> {
    const api = this.connection.requireApi();
    const force = forced(object, this.connection.settings.patchForce);
    if (type.patch) return await applyObject(api, place, object, { fieldManager, preview, force });
    if (type.kind === "CustomResourceDefinition") {
      return await replaceObject(api, place, object, before, { fieldManager, preview, force });
    }
    if (!preview) {
      await moveManagedFields(api, place, before, fieldManager);
      return await applyObject(api, place, object, { fieldManager, preview, force });
    }
    // A dry run cannot move the managed fields first, so their conflict with ourselves has to be overridden.
    const moves = adoptManagedFields(before, fieldManager) !== undefined;
    return await applyObject(api, place, object, { fieldManager, preview, force: force || moves });
  }

  private async settle(
    urn: string,
    written: Properties,
    inputs: Properties,
    fieldManager: string,
    type: ResourceType,
    timeout: number,
    done: "created" | "updated",
  ): Promise<Stored> {
    const api = this.connection.requireApi();
    const plain = revealSecrets(inputs);
    const place = placeOf(written, type);
    // From here on the object exists: whatever happens, it must not be lost from the state.
    const store = async () => {
      const read = async () => await readOrUndefined(api, await api.path(place, place.name));
      const live = (await read().catch(() => undefined)) ?? written;
      return { id: objectId(written), state: writeCheckpoint(live, inputs, fieldManager) };
    };
    try {
      if (type.kind === "CustomResourceDefinition") api.forgetKinds();
      if (annotation(plain, annotations.skipAwait) !== "true") {
        await waitUntilReady(api, place, this.wait(urn, timeoutOf(timeout, plain, defaultTimeouts.ready)));
      }
    } catch (error) {
      const message =
        `resource ${JSON.stringify(urn)} was successfully ${done}, but the Kubernetes API server ` +
        `reported that it failed to fully initialize or become live: ${describe(error, "").message}`;
      const reasons = error instanceof NotReadyError ? error.reasons : [];
      throw new PartialError(message, [message, ...reasons], await store(), inputs);
    }
    return await store();
  }

  private wait(urn: string, timeout: number) {
    return { urn, timeout, progress: this.connection.progress, canceled: this.connection.canceled };
  }

  private onRetry(urn: string): (attempt: number, error: Error) => void {
    return (attempt, error) =>
      this.connection.progress.status(urn, `Retry #${attempt}; creation failed: ${error.message}`);
  }
}

/** Kinds whose deletion `skipAwait` does not wait for. https://github.com/pulumi/pulumi-kubernetes/issues/1232 */
const skipsDeletion = new Set(["DaemonSet", "Deployment", "Job", "Namespace", "Pod", "StatefulSet"]);

function placeOf(object: Properties, type: ResourceType): Place {
  return {
    apiVersion: type.apiVersion,
    kind: type.kind,
    namespace: namespaceOf(object),
    name: nameOf(object),
  };
}

function namedPlace(place: Place): Record<string, string | undefined> {
  return { name: place.name, namespace: place.namespace === "" ? undefined : place.namespace };
}

/**
 * Background where the official provider deletes in the foreground: without a garbage collector (an API server
 * alone) a foreground deletion never ends. The annotation decides for both.
 */
function deleteOptions(inputs: Properties): Properties {
  const wanted = annotation(inputs, annotations.deletionPropagation).toLowerCase();
  const policies: Readonly<Record<string, string>> = { foreground: "Foreground", orphan: "Orphan" };
  return { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: policies[wanted] ?? "Background" };
}

import { AsyncResource } from "node:async_hooks";
import * as pulumi from "@pulumi/pulumi";
import { retirableKinds, type RetiredObject } from "../configSchema";
import { inDeletionOrder, Retirement, type ClusterAccess } from "./retirement";

export interface RetiredObjectsArgs {
  /** The exact objects that are to go; nothing else of their kinds is touched. */
  objects: RetiredObject[];
  /** The kubeconfig of the provider that serves the other components. */
  cluster: ClusterAccess;
}

/**
 * Removes the objects of the abandoned WorkloadEntry attempt, and nothing else, in one update that is safe on
 * a cluster which never had them. The list is kept in a Stash whose hooks do the work when it is first
 * recorded and when it changes: the preview says of each object whether it will be deleted, `up` deletes it.
 * Taking objects off the list, or the component out, deletes and restores nothing.
 *
 * The engine's summary counts the Stash and not the deletions; they are in the messages beside it. An object
 * that somebody makes again is noticed only when the list changes. See docs/decisions/retired-objects.md.
 */
export class RetiredObjects extends pulumi.ComponentResource {
  constructor(name: string, args: RetiredObjectsArgs, options?: pulumi.ComponentResourceOptions) {
    super("vpsight:legacy:RetiredObjects", name, {}, options);
    if (args.objects.length > 0) this.createStash(name, args);
    this.registerOutputs({});
  }

  private createStash(name: string, { objects, cluster }: RetiredObjectsArgs) {
    const ordered = inDeletionOrder(objects);
    // Not awaited: inside a hook, waiting for the engine's log deadlocks it.
    const say = (message: string) => void pulumi.log.info(message, this);
    const retirement = new Retirement(cluster, ordered, say);
    // Two hooks, since `isDryRun()` is false inside one under the Automation API: a single hook that asks it
    // deletes during a preview.
    const announce = hook(`${name}-announce`, () => retirement.announce(), { onDryRun: true });
    const remove = hook(`${name}-remove`, () => retirement.remove(), { onDryRun: false });
    const input = ordered.map((object) => ({ apiVersion: retirableKinds[object.kind], ...object }));
    new pulumi.Stash(
      `${name}-list`,
      { input },
      { parent: this, hooks: { beforeCreate: [announce, remove], beforeUpdate: [announce, remove] } },
    );
  }
}

/** The engine calls back outside of the program's asynchronous context, where the SDK would not find its state. */
function hook(name: string, run: () => Promise<void>, options: pulumi.ResourceHookOptions) {
  return new pulumi.ResourceHook(name, AsyncResource.bind(run), options);
}

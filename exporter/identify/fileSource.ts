import { readFile } from "node:fs/promises";
import { toError } from "../error";
import { parseInventory } from "./inventory";
import type { InventoryListener, InventorySource } from "./source";

/** Settings of a `FileSource`. */
export interface FileSourceSettings {
  /** File with the inventory, YAML or JSON. */
  readonly path: string;
  /** Pause between two looks at the file, in milliseconds. Default 2,000. */
  readonly intervalMilliseconds?: number;
}

/**
 * The inventory in a file, read again every 2 seconds.
 *
 * The file is read rather than watched: in a ConfigMap volume the path is a symbolic link into a folder
 * that the kubelet swaps, and inotify (so `fs.watch` too) follows the inode that goes away and then stays
 * silent. https://github.com/kubernetes/kubernetes/issues/112677 has the details. A changed ConfigMap is
 * swapped in as a whole; whoever writes the file by other means should replace it by renaming.
 */
export class FileSource implements InventorySource {
  readonly name = "file";
  private readonly path: string;
  private readonly intervalMilliseconds: number;
  private listener: InventoryListener | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** What the last good inventory was read from. */
  private goodText: string | undefined;
  /** What was found wrong last; not parsed again every 2 seconds. */
  private badText: string | undefined;
  private failure: string | undefined;

  constructor(settings: FileSourceSettings) {
    this.path = settings.path;
    this.intervalMilliseconds = settings.intervalMilliseconds ?? 2_000;
  }

  async start(listener: InventoryListener): Promise<void> {
    this.listener = listener;
    await this.look();
  }

  stop(): void {
    this.listener = undefined;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    try {
      const text = await readFile(this.path, "utf8");
      if (text !== this.badText) this.take(text);
    } catch (error) {
      this.badText = undefined;
      this.fail(toError(error));
    }
    // A timer set anew after each look: a slow disk never makes looks pile up.
    if (this.listener !== undefined)
      this.timer = setTimeout(() => void this.look(), this.intervalMilliseconds);
  }

  private take(text: string): void {
    try {
      const inventory = text === this.goodText ? undefined : parseInventory(text, this.path);
      this.goodText = text;
      this.badText = undefined;
      this.failure = undefined;
      if (inventory === undefined) this.listener?.confirmed();
      else this.listener?.changed(inventory);
    } catch (error) {
      this.badText = text;
      this.fail(toError(error));
    }
  }

  private fail(error: Error): void {
    if (error.message !== this.failure) this.listener?.failed(error);
    this.failure = error.message;
  }
}

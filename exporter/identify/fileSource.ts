import { readFile, stat } from "node:fs/promises";
import { toError } from "../error";
import { maxInventoryLength } from "./document";
import type { InventoryReceiver, InventorySource } from "./source";

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
  readonly place: string;
  private readonly intervalMilliseconds: number;
  private receiver: InventoryReceiver | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(settings: FileSourceSettings) {
    this.place = settings.path;
    this.intervalMilliseconds = settings.intervalMilliseconds ?? 2_000;
  }

  async start(receiver: InventoryReceiver): Promise<void> {
    this.receiver = receiver;
    await this.look();
  }

  stop(): void {
    this.receiver = undefined;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    try {
      const text = await this.read();
      await this.receiver?.offer(text);
    } catch (error) {
      this.receiver?.failed(toError(error));
    }
    // A timer set anew after each look: a slow disk never makes looks pile up.
    if (this.receiver !== undefined)
      this.timer = setTimeout(() => void this.look(), this.intervalMilliseconds);
  }

  private async read(): Promise<string> {
    const { size } = await stat(this.place);
    if (size > maxInventoryLength) {
      throw new Error(
        `The inventory ${this.place} must have at most ${maxInventoryLength} bytes; got ${size}`,
      );
    }
    return readFile(this.place, "utf8");
  }
}

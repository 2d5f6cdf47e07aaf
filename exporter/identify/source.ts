import type { Inventory } from "./inventory";

/** What a source tells about itself. Every call is about the whole fleet, never about a part of it. */
export interface InventoryListener {
  /** A new inventory, different from the last one. */
  changed(inventory: Inventory): void;
  /** The source was read and says what it said before. */
  confirmed(): void;
  /** The source could not be read, or what it holds is wrong. Called once for each different failure. */
  failed(error: Error): void;
}

/** Where the inventory comes from. */
export interface InventorySource {
  /** Short name for logs and the label `source`: `file`. */
  readonly name: string;
  /**
   * Begins to watch.
   * @returns when the first attempt is over, whether it succeeded or not.
   */
  start(listener: InventoryListener): Promise<void>;
  /** Ends the watch; the listener is not called any more. */
  stop(): void;
}

/** Takes what a source reads; it decides what is new, right and in force. */
export interface InventoryReceiver {
  /**
   * The source was read. Called after each look, with the same text too.
   * @param keptSinceSeconds for an inventory out of the state directory: when the source last confirmed it.
   * @returns whether the text is (now, or still) in force.
   */
  offer(text: string, keptSinceSeconds?: number): Promise<boolean>;
  /** The source could not be read. */
  failed(error: Error): void;
}

/** Where an inventory comes from. */
export interface InventorySource {
  /** Short name for logs and the label `source`. */
  readonly name: "file" | "http";
  /** How errors name it: a path, or a URL without query. */
  readonly place: string;
  /**
   * Begins to watch.
   * @returns when what is on this machine has been offered; an answer over the network is not waited for.
   */
  start(receiver: InventoryReceiver): Promise<void>;
  /** Ends the watch; the receiver is not called any more. */
  stop(): void;
}

import { toError } from "../error";
import type { InventoryDocument } from "./background";
import { readInBackground, ReadingError } from "./background";
import type { MergedInventory } from "./merge";
import type { InventoryReceiver, InventorySource } from "./source";

/** Hears what becomes of the fleet. Every call names the source that caused it. */
export interface FleetListener {
  /**
   * Another inventory is to be in force: everything all sources say together.
   * @param keptSinceSeconds when the source's part is out of the state directory: when it was last confirmed.
   */
  changed(source: InventorySource, inventory: MergedInventory, keptSinceSeconds?: number): Promise<void>;
  /** The source was read and says what it said before. */
  confirmed(source: InventorySource): void;
  /** The source could not be read, or what it says cannot be used. Called once for each different failure. */
  failed(source: InventorySource, error: Error): void;
  /** The fleet is as good as it gets for now, without these sources; see `patienceMilliseconds`. */
  gaveUpWaiting(sources: readonly InventorySource[]): void;
}

/** Settings of a `FleetInventory`. */
export interface FleetInventorySettings {
  /** The one whose entries win comes first. */
  readonly sources: readonly InventorySource[];
  readonly listener: FleetListener;
  /**
   * How long after the start a fleet that lacks a source counts as not complete. Default 30,000: so long the gateway
   * sends batches again that were not taken, and until then no VPS of that source is counted as unknown.
   */
  readonly patienceMilliseconds?: number;
  /** Default: in a thread of its own. */
  readonly read?: (documents: readonly InventoryDocument[]) => Promise<MergedInventory>;
}

/** What is known of one source. */
interface Holding {
  /** What it last said that could be used. */
  good: string | undefined;
  /** What it last said that could not. */
  refused: Refused | undefined;
  failure: string | undefined;
}

/** A text that is not read again before `until`, or before something changed elsewhere. */
interface Refused {
  readonly text: string;
  readonly error: Error;
  readonly atChange: number;
  readonly until: number;
}

/** Reading that failed for want of time or memory is tried again after so long. */
const readAgainMilliseconds = 5 * 60_000;

/**
 * The fleet as all sources together give it. One source's failure, a wrong inventory or two that do not fit
 * together change nothing: the last good fleet stays in force.
 */
export class FleetInventory {
  private readonly settings: Required<FleetInventorySettings>;
  private readonly holdings: ReadonlyMap<InventorySource, Holding>;
  private changes = 0;
  private queue: Promise<unknown> = Promise.resolve();
  private patience: NodeJS.Timeout | undefined;
  private patient = true;
  private stopped = false;

  constructor(settings: FleetInventorySettings) {
    this.settings = { patienceMilliseconds: 30_000, read: readInBackground, ...settings };
    this.holdings = new Map(
      settings.sources.map((source) => [source, { good: undefined, refused: undefined, failure: undefined }]),
    );
  }

  /** Starts the sources one after another, so that after a restart the first is always in force first. */
  async start(): Promise<void> {
    this.patience = setTimeout(() => this.endPatience(), this.settings.patienceMilliseconds);
    for (const source of this.settings.sources) await source.start(this.receiverOf(source));
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.patience);
    for (const source of this.settings.sources) source.stop();
  }

  /** What keeps the fleet from being counted with; empty when nothing does. */
  get missing(): readonly InventorySource[] {
    return this.patient || !this.loaded ? this.without : [];
  }

  /** Whether anything is in force. */
  get loaded(): boolean {
    return this.without.length < this.settings.sources.length;
  }

  /** Sources that have not said anything usable yet. */
  private get without(): readonly InventorySource[] {
    return this.settings.sources.filter((source) => this.holdings.get(source)?.good === undefined);
  }

  private endPatience(): void {
    this.patient = false;
    if (this.loaded && this.without.length > 0) this.settings.listener.gaveUpWaiting(this.without);
  }

  private receiverOf(source: InventorySource): InventoryReceiver {
    return {
      // One at a time: each is judged together with what the others have said before.
      offer: (text, keptSinceSeconds) => {
        const taken = this.queue.then(() => this.take(source, text, keptSinceSeconds));
        this.queue = taken.catch(() => undefined);
        return taken;
      },
      failed: (error) => this.fail(source, error),
    };
  }

  private async take(source: InventorySource, text: string, keptSinceSeconds?: number): Promise<boolean> {
    const holding = this.holdings.get(source);
    if (holding === undefined || this.stopped) return false;
    const { refused } = holding;
    if (text === holding.good) {
      Object.assign(holding, { refused: undefined, failure: undefined });
      this.settings.listener.confirmed(source);
      return true;
    }
    if (refused?.text === text && refused.atChange === this.changes && Date.now() < refused.until) {
      this.fail(source, refused.error);
      return false;
    }
    try {
      const inventory = await this.settings.read(this.documentsWith(source, text));
      if (this.stopped) return false;
      await this.settings.listener.changed(source, inventory, keptSinceSeconds);
      this.changes += 1;
      Object.assign(holding, { good: text, refused: undefined, failure: undefined });
      return true;
    } catch (thrown) {
      const error = toError(thrown);
      const lasting = error instanceof ReadingError && error.reason === "document";
      const until = lasting ? Number.POSITIVE_INFINITY : Date.now() + readAgainMilliseconds;
      holding.refused = { text, error, atChange: this.changes, until };
      this.fail(source, error);
      return false;
    }
  }

  /** What all say, this one with a new text; in the order in which they win. */
  private documentsWith(source: InventorySource, text: string): InventoryDocument[] {
    return this.settings.sources.flatMap((each) => {
      const said = each === source ? text : this.holdings.get(each)?.good;
      return said === undefined ? [] : [{ place: each.place, text: said }];
    });
  }

  private fail(source: InventorySource, error: Error): void {
    const holding = this.holdings.get(source);
    if (holding === undefined || this.stopped || holding.failure === error.message) return;
    holding.failure = error.message;
    this.settings.listener.failed(source, error);
  }
}

/** A connection, as far as its upkeep is concerned. */
export interface Connection {
  destroy(): void;
}

/**
 * Decides which connections have to go. One that brings messages stays ahead of all that do not: a sender at work
 * cannot be crowded out by any number of connections that only stand there, and a new one always gets in.
 */
export class Connections<C extends Connection> {
  /** When each connection did something useful, the longest ago first; of one that never did, when it came. */
  private readonly usefulAt = new Map<C, number>();
  private readonly unproven = new Set<C>();

  constructor(
    private readonly most: number,
    private readonly firstMessageMilliseconds: number,
  ) {}

  /** The connections there are. */
  get all(): Iterable<C> {
    return this.usefulAt.keys();
  }

  /** A connection came. If there are too many, the one that was of no use for longest goes: first of those that never were. */
  add(connection: C, now: number): void {
    if (this.usefulAt.size >= this.most) {
      const [idle] = this.unproven.size > 0 ? this.unproven : this.usefulAt.keys();
      if (idle !== undefined) this.end(idle);
    }
    this.usefulAt.set(connection, now);
    this.unproven.add(connection);
  }

  /** A connection brought a whole message. */
  noteMessage(connection: C, now: number): void {
    if (!this.usefulAt.delete(connection)) return;
    this.usefulAt.set(connection, now);
    this.unproven.delete(connection);
  }

  /** A connection ended. */
  remove(connection: C): void {
    this.usefulAt.delete(connection);
    this.unproven.delete(connection);
  }

  /** Ends the connections that have had their time without a message. */
  endIdle(now: number): void {
    for (const connection of this.unproven) {
      const since = this.usefulAt.get(connection) ?? now;
      // In the order in which they came: the rest are younger.
      if (now - since < this.firstMessageMilliseconds) return;
      this.end(connection);
    }
  }

  private end(connection: C): void {
    this.remove(connection);
    connection.destroy();
  }
}

import type { PartProgress } from "./controlPlane";

/**
 * Tells a person how far a start is: a line for each step that is done (`[ 4/14]  6.2 s  istiod  in 4.1 s`), and
 * what is being waited for: on a terminal as a last line that moves, elsewhere as a line every ten seconds.
 */
export class Progress {
  private readonly started = performance.now();
  private readonly waiting = new Map<string, number>();
  private readonly timer: NodeJS.Timeout;
  private done = 0;
  private closed = false;

  /** @param steps how many there will be in all. */
  constructor(
    private readonly steps: number,
    private readonly stream: NodeJS.WriteStream = process.stdout,
  ) {
    this.timer = setInterval(() => this.tick(), stream.isTTY ? 200 : 10_000);
    this.timer.unref();
  }

  /** Takes a step's beginning and its end; after `close` nothing is said, such as of a part started again. */
  readonly report = ({ part, state, detail }: PartProgress): void => {
    if (this.closed) return;
    if (state === "starting") {
      this.waiting.set(part, performance.now());
      this.tick(true);
      return;
    }
    this.waiting.delete(part);
    this.done += 1;
    const count = `[${String(this.done).padStart(2)}/${this.steps}]`;
    this.erase();
    this.stream.write(`${count} ${this.elapsed()}  ${part.padEnd(24)} ${detail}\n`);
    this.tick(true);
  };

  /** Does one step and reports it. */
  async step<Result>(part: string, work: () => Promise<Result>): Promise<Result> {
    const started = performance.now();
    this.report({ part, state: "starting", detail: "" });
    const result = await work();
    this.report({
      part,
      state: "ready",
      detail: `in ${((performance.now() - started) / 1000).toFixed(1)} s`,
    });
    return result;
  }

  /** Ends the moving line. */
  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    this.erase();
  }

  private elapsed(): string {
    return `${((performance.now() - this.started) / 1000).toFixed(1).padStart(6)} s`;
  }

  private tick(onlyTerminal = false): void {
    if (this.waiting.size === 0 || (onlyTerminal && !this.stream.isTTY)) return;
    const text = `        ${this.elapsed()}  waiting for ${[...this.waiting.keys()].join(", ")}`;
    this.erase();
    this.stream.write(this.stream.isTTY ? text.slice(0, this.stream.columns) : `${text}\n`);
  }

  private erase(): void {
    if (this.stream.isTTY) this.stream.write("\r\u001b[K");
  }
}

/** `3 min 40 s`, `7 s`. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60
    ? `${seconds} s`
    : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/**
 * One line per step: on a terminal it is rewritten every second with the time gone by, elsewhere (a log, CI) it is
 * printed at the start, every 30 s and at the end.
 */
export class Progress {
  private current = 0;

  constructor(
    private readonly total: number,
    private readonly out: NodeJS.WriteStream = process.stdout,
  ) {}

  /** Runs one step. `doing` is, for example, `building (about 4 min)`; the returned value is the time it took, in ms. */
  async step(title: string, doing: string, work: () => Promise<void>): Promise<number> {
    const number = String(++this.current).padStart(String(this.total).length);
    const head = `[${number}/${this.total}] ${title}: `;
    const started = Date.now();
    const gone = (): string => duration(Date.now() - started);
    const show = (): void => this.transient(`${head}${doing}, ${gone()}`);
    this.transient(`${head}${doing}`);
    const timer = setInterval(show, this.out.isTTY ? 1_000 : 30_000);
    try {
      await work();
      this.final(`${head}ready after ${gone()}`);
    } catch (error) {
      this.final(`${head}failed after ${gone()}`);
      throw error;
    } finally {
      clearInterval(timer);
    }
    return Date.now() - started;
  }

  private transient(text: string): void {
    if (!this.out.isTTY) this.out.write(`${text}\n`);
    else this.out.write(`\r\x1b[2K${text.slice(0, Math.max(20, this.out.columns - 1))}`);
  }

  private final(text: string): void {
    this.out.write(this.out.isTTY ? `\r\x1b[2K${text}\n` : `${text}\n`);
  }
}

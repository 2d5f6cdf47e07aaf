import { Session } from "node:inspector";

/** Watches, by V8's own block counters, which parts of one source file have been run. */
export class CodeCoverage {
  private readonly session = new Session();
  /** For each character of the file as V8 runs it: 0 outside functions, 1 not run yet, 2 run. */
  private state = new Uint8Array();
  private readonly functions = new Map<string, readonly [start: number, end: number]>();

  /** @param file end of the path of the source file. Its functions must not have run before, or V8 would not count their blocks. */
  constructor(private readonly file: string) {
    this.session.connect();
    this.session.post("Profiler.enable");
    this.session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** How much of the file's functions has been run, in percent of their text. */
  get percent(): number {
    const inside = this.state.filter((state) => state > 0).length;
    return Math.floor((100 * this.state.filter((state) => state === 2).length) / Math.max(1, inside));
  }

  /** Functions of which some part was never run. */
  get missed(): readonly string[] {
    return [...this.functions]
      .filter(([, [start, end]]) => this.state.subarray(start, end).includes(1))
      .map(([name]) => name);
  }

  /** @returns the characters that were run since the last call and never before; empty most of the time. */
  takeNew(): ReadonlySet<number> {
    const found = new Set<number>();
    for (const position of this.take()) {
      if (this.state[position] === 2) continue;
      this.state[position] = 2;
      found.add(position);
    }
    return found;
  }

  /** @returns the characters that were run since the last call. */
  *take(): Generator<number> {
    let run = new Uint8Array();
    // The answer comes before the call returns: the session is in this thread.
    this.session.post("Profiler.takePreciseCoverage", (error, coverage) => {
      if (error !== null) throw error;
      for (const { url, functions } of coverage.result) {
        if (!url.split("?")[0]?.endsWith(this.file)) continue;
        const size = Math.max(
          0,
          ...functions.flatMap(({ ranges }) => ranges.map(({ endOffset }) => endOffset)),
        );
        if (this.state.length < size) this.state = new Uint8Array(size);
        run = new Uint8Array(size);
        // Outer ranges come before the ranges inside them.
        for (const { functionName, ranges } of functions) {
          for (const { startOffset, endOffset, count } of ranges)
            run.fill(count > 0 ? 1 : 0, startOffset, endOffset);
          const [whole] = ranges;
          if (functionName === "" || whole === undefined) continue;
          this.functions.set(functionName, [whole.startOffset, whole.endOffset]);
          for (let at = whole.startOffset; at < whole.endOffset; at += 1) this.state[at] ||= 1;
        }
      }
    });
    for (const [position, count] of run.entries()) if (count > 0) yield position;
  }

  /** Ends the watch. */
  stop(): void {
    this.session.post("Profiler.stopPreciseCoverage");
    this.session.disconnect();
  }
}
